"""Prompts: exactly as long as asked, never twice the same, and the same again for the same salt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from workbench.errors import Failure
from workbench.models.tokenizer import Vocabulary
from workbench.runlog.schema import Planned
from workbench.workload.prompts import WORDS, Encoder, Prompts


def trained(*, lossy: bool) -> Tokenizer:
    """A real byte-level BPE of 400 tokens; the lossy one does not decode what it encodes."""
    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=lossy)
    if not lossy:
        found.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    found.train_from_iterator([" ".join(WORDS)] * 4, trainer)
    return found


class Plain:
    """A foreign tokenizer: it encodes, and that is all that is known of it."""

    def __init__(self) -> None:
        self._inner = trained(lossy=False)

    def encode(self, text: str) -> list[int]:
        return list(self._inner.encode(text, add_special_tokens=False).ids)


ENCODERS: dict[str, Encoder] = {
    "plain": Plain(), "world": Vocabulary(trained(lossy=False), "t"), "lossy": Vocabulary(trained(lossy=True), "t"),
}


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("n_tok", [1, 2, 3, 5, 17, 64, 257, 1400])
def test_length_is_exact(name: str, n_tok: int) -> None:
    prompts = Prompts(ENCODERS[name], salt=5)
    assert len(ENCODERS[name].encode(prompts.text(n_tok, n_tok))) == n_tok
    assert len(prompts.token_ids(n_tok, n_tok)) == n_tok


@given(n_tok=st.integers(1, 90), request=st.integers(0, 10**6), salt=st.integers(0, 2**48))
def test_any_length_for_any_request(n_tok: int, request: int, salt: int) -> None:
    encoder = ENCODERS["plain"]
    assert len(encoder.encode(Prompts(encoder, salt=salt).text(n_tok, request))) == n_tok


@pytest.mark.parametrize("name", ["plain", "world"])
def test_text_and_ids_say_the_same(name: str) -> None:
    prompts = Prompts(ENCODERS[name], salt=5)
    assert list(ENCODERS[name].encode(prompts.text(40, 3))) == prompts.token_ids(40, 3)


@pytest.mark.parametrize("name", ENCODERS)
def test_prefix_cache_stays_cold(name: str) -> None:
    """Among 120 requests of two runs no two share their first eight tokens; a given salt repeats itself."""
    encoder = ENCODERS[name]
    seen = [tuple(Prompts(encoder, salt=salt).token_ids(24, i)[:8]) for salt in (1, 2) for i in range(60)]
    assert len(set(seen)) == 120
    assert Prompts(encoder, salt=1).text(24, 7) == Prompts(encoder, salt=1).text(24, 7)
    assert Prompts(encoder).salt != Prompts(encoder).salt


def test_a_schedule_gets_its_prompts_in_order() -> None:
    prompts = Prompts(ENCODERS["plain"], salt=9)
    schedule = [Planned(f"r{i:06d}", i, n, 5) for i, n in enumerate((12, 3, 40))]
    assert [len(ids) for ids in prompts.for_schedule(schedule, "ids")] == [12, 3, 40]
    assert prompts.for_schedule(schedule) == [prompts.text(n, i) for i, n in enumerate((12, 3, 40))]


def test_without_a_tokenizer_there_are_words() -> None:
    prompts = Prompts.load(None, salt=3)
    assert [len(prompts.words(n, 0).split()) for n in (0, 1, 2, 50)] == [0, 1, 2, 50]
    assert prompts.words(50, 0).split()[0] != prompts.words(50, 1).split()[0]
    with pytest.raises(Failure, match="need a tokenizer"):
        prompts.text(5, 0)


class TwoByTwo:
    """Every text has an even number of tokens."""

    def encode(self, text: str) -> list[int]:
        return [0] * (2 * len(text))


def test_an_impossible_length_is_one_line() -> None:
    with pytest.raises(Failure, match="no text of exactly 7 tokens"):
        Prompts(TwoByTwo(), salt=1).text(7, 0)
