"""Random weights: the same everywhere, never a token that is no text, in the size that its name says."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.files import read_json
from workbench.models import layout
from workbench.models.convert import convert, identify
from workbench.models.folder import RECIPE_KEY, ModelFolder, open_folder
from workbench.models.formats import round_trip
from workbench.models.forward import Llama
from workbench.models.gguf_header import read_gguf_header
from workbench.models.shipped import resolve, shipped_folder
from workbench.models.tokenizer import Vocabulary, load
from workbench.models.untrained import NAME, SEED, SHAPE, RandomTensors, random_folder
from workbench.models.written import write_folder

SMALL = replace(SHAPE, vocab=1500, hidden=128, layers=2, feed_forward=256, heads=2, kv_heads=1)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return load(shipped_folder() / "tokenizer.json")


@pytest.fixture(scope="module")
def small() -> ModelFolder:
    return random_folder(open_folder(shipped_folder(), "tiny"), SMALL)


@pytest.fixture(scope="module")
def chosen(small: ModelFolder) -> tuple[int, ...]:
    assert isinstance(small.tensors, RandomTensors)
    return small.tensors.chosen


def test_it_has_the_size_that_it_is_called_by() -> None:
    assert SHAPE.params == 134_515_008 == sum(int(np.prod(shape)) for shape in layout.shapes(SHAPE).values())
    assert resolve(NAME).arch == SHAPE
    assert all(shape[-1] % 32 == 0 for shape in layout.shapes(SHAPE).values())  # blocks of every quantisation of 32


def test_every_token_that_may_be_said_is_printable_text_by_itself(
    chosen: tuple[int, ...], vocabulary: Vocabulary
) -> None:
    alone = [vocabulary.decode([number]) for number in chosen]
    assert all(text and text.encode("ascii").decode() == text and text.isprintable() for text in alone)
    together = vocabulary.decode(list(chosen))
    assert together == "".join(alone)  # no token changes the text of its neighbours
    assert len(chosen) > 800
    for special in ("<|endoftext|>", "<|im_start|>", "<|im_end|>"):
        assert vocabulary.id_of(special) not in chosen


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, SMALL.vocab - 1), min_size=1, max_size=12), st.sampled_from(["F16", "Q8_0", "Q4_0"]))
def test_whatever_is_asked_a_printable_token_is_answered(
    small: ModelFolder, chosen: tuple[int, ...], ids: list[int], quant: str
) -> None:
    rows = Llama(SMALL, small.tensors, lambda values: round_trip(values, quant)).logits(np.array([ids]))
    assert set(rows[0].argmax(axis=-1).tolist()) <= set(chosen)


def test_rows_that_are_never_said_are_halves_of_rows_that_are(small: ModelFolder, chosen: tuple[int, ...]) -> None:
    table = small.tensors.array(layout.EMBED)
    others = sorted(set(range(SMALL.vocab)) - set(chosen))
    halves = {row.tobytes() for row in (table[list(chosen)] / 2).astype(np.float16)}
    assert {row.tobytes() for row in table[others].astype(np.float16)} <= halves
    assert np.abs(table).max(axis=1).min() > 0


def test_the_same_seed_gives_the_same_weights_for_ever() -> None:
    weights = RandomTensors(SHAPE, tuple(range(848)))
    name = layout.in_layer(29, layout.DOWN)
    assert hashlib.sha256(weights.array(name).astype("<f4").tobytes()).hexdigest() == (
        "6a719813f9c6b58df951a7f91fe2f1b7ebb8988608c6a233a52f6b84179b7566"
    )
    assert not np.array_equal(weights.array(name), RandomTensors(SHAPE, (1,), SEED + 1).array(name))
    assert not np.array_equal(weights.array(name), weights.array(layout.in_layer(28, layout.DOWN)))


def test_all_its_forms_hold_the_same_numbers(small: ModelFolder, tmp_path: Path) -> None:
    write_folder(small, tmp_path / "m")
    written = open_folder(tmp_path / "m")
    assert written.arch == SMALL
    assert read_json(tmp_path / "m" / "config.json")[RECIPE_KEY] == small.recipe
    for name in layout.shapes(SMALL):
        assert np.array_equal(written.tensors.array(name), small.tensors.array(name))  # exact in F16
    made = convert(small, "F16", tmp_path / "m.gguf")
    assert made.weights_id == identify(written, "F16")
    assert read_gguf_header(made.path).params == SMALL.params
