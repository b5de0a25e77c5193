"""Where prompt and option part, and how long texts are cut: as lm-eval does it."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.quality.asking import AskFailed
from workbench.quality.words import begun, cut, windows


@dataclass
class Letters:
    """One token a character, but a space joins the letter behind it; 0 begins a text."""

    adds_prefix: bool = True
    prefix: int = 0

    def encode(self, text: str) -> list[int]:
        ids, at = [], 0
        while at < len(text):
            joined = text[at] == " " and at + 1 < len(text) and text[at + 1].isalpha()
            ids.append(1000 + ord(text[at + 1]) if joined else 0 if text[at] == "^" else ord(text[at]))
            at += 2 if joined else 1
        return ids


def test_spaces_at_the_prompts_end_go_to_the_option() -> None:
    one, other = cut(Letters(), "ab", " c", None), cut(Letters(), "ab ", "c", None)
    assert one == other
    assert (one.ids, one.begin, one.scored) == ((0, 97, 98, 1099), 3, (1099,))


def test_an_empty_prompt_follows_the_prefix_and_a_written_one_is_not_doubled() -> None:
    assert cut(Letters(), "", "ab", None).ids == (0, 97, 98)
    assert cut(Letters(adds_prefix=False), "", "ab", None).ids == (0, 97, 98)
    assert cut(Letters(adds_prefix=False), "a", "b", None).ids == (97, 98)
    assert cut(Letters(), "^a", "b", None).ids == (0, 97, 98)
    assert begun(Letters(), "a ", None).ids == (0, 97, 32)


@given(prompt=st.text("ab", max_size=12), option=st.text("ab", min_size=1, max_size=4), room=st.integers(1, 20))
def test_what_does_not_fit_is_cut_off_the_prompts_beginning(prompt: str, option: str, room: int) -> None:
    whole = cut(Letters(), prompt, option, None)
    if room <= len(option):
        with pytest.raises(AskFailed, match="do not fit"):
            cut(Letters(), prompt, option, room)
        return
    found = cut(Letters(), prompt, option, room)
    assert found.scored == whole.scored
    assert len(found.ids) == min(room, len(whole.ids))
    assert whole.ids[len(whole.ids) - len(found.ids):] == found.ids
    assert found.truncated == (len(whole.ids) > room)


def test_windows_are_those_of_lm_eval() -> None:
    """lm_eval.utils.get_rolling_token_windows, 25 tokens, 10 at a time, one token of context."""
    text = "".join(chr(200 + number) for number in range(1, 26))
    found = [([i - 200 if i else 0 for i in one.ids], one.begin) for one in windows(Letters(), text, 11)]
    assert found == [
        ([0, *range(1, 11)], 1), ([10, *range(11, 21)], 1), ([*range(15, 21), 21, 22, 23, 24, 25], 6)]


@given(length=st.integers(1, 60), room=st.integers(2, 30))
def test_every_token_of_a_text_is_scored_once(length: int, room: int) -> None:
    text = "".join(chr(200 + number) for number in range(length))
    cuts = list(windows(Letters(), text, room))
    assert [token for one in cuts for token in one.scored] == [200 + number for number in range(length)]
    assert all(len(one.ids) <= room and one.begin >= 1 for one in cuts)


def test_what_cannot_be_scored_is_said() -> None:
    with pytest.raises(AskFailed, match="adds no token"):
        cut(Letters(), "ab", "", None)
    with pytest.raises(AskFailed, match="empty text"):
        list(windows(Letters(), "", None))
