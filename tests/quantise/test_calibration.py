"""Rows of ids: of one length, the same every time, and refused where they cannot calibrate anything."""

from pathlib import Path

import pytest

from workbench.errors import Failure, UsageError
from workbench.models.calibration import file_rows, world_rows
from workbench.models.forward import Llama
from workbench.models.perplexity import mean_nats, perplexity
from workbench.models.shipped import resolve, shipped_folder
from workbench.models.tokenizer import load

VOCABULARY = load(shipped_folder())


def test_rows_depend_on_their_seed_alone() -> None:
    one, again = (world_rows(VOCABULARY, 1024, 3, 32, seed=4) for _ in range(2))
    assert one == again
    assert one != world_rows(VOCABULARY, 1024, 3, 32, seed=5)
    assert one.ids != world_rows(VOCABULARY, 1024, 3, 32, seed=4, held_out=True).ids
    assert (one.tokens, {len(row) for row in one.ids}) == (96, {32})


def test_a_users_text_fills_the_rows_or_is_refused(tmp_path: Path) -> None:
    text, lines = tmp_path / "a.txt", tmp_path / "a.jsonl"
    text.write_text("one two three four five six seven\n" * 20)
    lines.write_text('{"text": "one two three four five six seven"}\n' * 20)
    assert len(file_rows(text, VOCABULARY, 1024, 3, 16).ids) == 3
    assert len(file_rows(lines, VOCABULARY, 1024, 3, 16).ids) == 3
    with pytest.raises(UsageError, match=r"a\.txt: too short: it fills \d+ of 400 rows of 16 tokens"):
        file_rows(text, VOCABULARY, 1024, 400, 16)
    lines.write_text('{"txt": ""}\n')
    with pytest.raises(UsageError, match=r'line 1: no "text"'):
        file_rows(lines, VOCABULARY, 1024, 3, 16)


def test_ids_beyond_the_vocabulary_are_refused() -> None:
    with pytest.raises(Failure, match="the model's vocabulary has 100; it belongs to another model"):
        world_rows(VOCABULARY, 100, 3, 32)


def test_perplexity_of_two_tokens_by_hand() -> None:
    """One prediction: its negative log-probability, and exp of it."""
    import numpy as np

    folder = resolve("tiny")
    logits = Llama(folder.arch, folder.tensors).logits(np.array([[5, 9]]))[0, 0].astype(np.float64)
    by_hand = float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[9])
    assert mean_nats(folder.arch, folder.tensors, [(5, 9)]) == pytest.approx(by_hand, abs=1e-5)
    assert perplexity(0.0) == 1.0
    assert perplexity(1e9) == float("inf")
