"""Where a prompt ends and an option begins, in tokens: as lm-eval cuts it, so that scores are comparable."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from workbench.quality.asking import AskFailed


class Words(Protocol):
    """A model's tokenizer. `prefix` is the token before a text: begin-of-text, or end-of-text where there is none."""

    prefix: int
    adds_prefix: bool

    def encode(self, text: str) -> list[int]:
        """Without special tokens at the front; special tokens written out in the text are themselves."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A whole sequence, and where its scored part begins."""

    ids: tuple[int, ...]
    begin: int
    truncated: bool = False

    @property
    def scored(self) -> tuple[int, ...]:
        return self.ids[self.begin:]


def cut(words: Words, prompt: str, option: str, room_tok: int | None) -> Cut:
    """lm-eval's rule: spaces at the prompt's end go over to the option, both are encoded together, and the option's
    tokens are those beyond the length of the prompt's own. What does not fit is cut off the prompt's beginning."""
    kept = prompt.rstrip()
    before, whole = words.encode(kept), words.encode(prompt + option)
    front = _front(words, before)
    before, whole = [*front, *before], [*front, *whole]
    scored = len(whole) - len(before)
    if scored < 1:
        raise AskFailed(f"option {option[:40]!r} adds no token to the prompt")
    return fitted(whole, scored, room_tok)


def begun(words: Words, prompt: str, room_tok: int | None) -> Cut:
    """A prompt to be gone on with; what does not fit is cut off its beginning."""
    ids = words.encode(prompt)
    return fitted([*_front(words, ids), *ids], 0, room_tok)


def _front(words: Words, ids: Sequence[int]) -> list[int]:
    """The begin-of-text token, unless a chat template wrote it, or the model does without and there is a text."""
    return [words.prefix] if not ids or (words.adds_prefix and ids[0] != words.prefix) else []


def fitted(whole: Sequence[int], scored: int, room_tok: int | None) -> Cut:
    """The end of the sequence that fits, with all that is scored."""
    over = 0 if room_tok is None else max(0, len(whole) - room_tok)
    if len(whole) - scored - over < 1:
        raise AskFailed(f"{scored} scored tokens do not fit a context of {room_tok}")
    return Cut(tuple(whole[over:]), len(whole) - scored - over, over > 0)


def windows(words: Words, text: str, room_tok: int | None) -> Iterator[Cut]:
    """A text in pieces that fit, every token scored once after as much of what is before it as fits (lm-eval)."""
    ids = words.encode(text)
    if not ids:
        raise AskFailed("an empty text has no likelihood")
    most = room_tok - 1 if room_tok is not None else len(ids)
    if most < 1:
        raise AskFailed(f"a context of {room_tok} holds no token to score")
    yield Cut((words.prefix, *ids[:most]), 1)
    for begin in range(most, len(ids), most):
        end = min(begin + most, len(ids))
        yield Cut(tuple(ids[max(0, end - most - 1):end]), most + 1 - (end - begin))
