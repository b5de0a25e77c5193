"""A grown model computes exactly the same function, also through every uniform format."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import Failure, UsageError
from workbench.files import read_json, write_json
from workbench.models import find, grow_to_folder, layout
from workbench.models.arch import Architecture
from workbench.models.convert import identify
from workbench.models.folder import ModelFolder, grown, open_folder
from workbench.models.formats import round_trip
from workbench.models.forward import Llama
from workbench.models.grow import GrownTensors, UngrownTensors, adds_nothing, parse_params, plan
from workbench.models.shipped import shipped_folder
from workbench.models.tensors import Floats, Tensors
from workbench.models.weights import source_id

IDS = (np.arange(24) * 37 % 1024)[None, :]


@pytest.fixture(scope="module")
def base() -> ModelFolder:
    return open_folder(shipped_folder(), "tiny")


@pytest.fixture(scope="module")
def target(base: ModelFolder) -> Architecture:
    """Both deeper and wider, and still quick."""
    return replace(base.arch, layers=base.arch.layers + 2, feed_forward=base.arch.feed_forward + 512)


def logits(arch: Architecture, tensors: Tensors, quant: str = "F16") -> Floats:
    return Llama(arch, tensors, lambda values: round_trip(values, quant)).logits(IDS)


@pytest.mark.parametrize("quant", [
    "F16", "Q8_0", "Q4_0",
    *(pytest.param(quant, marks=pytest.mark.slow) for quant in ("F32", "BF16", "Q5_0", "Q4_1", "TQ1_0", "TQ2_0")),
])
def test_grown_logits_are_equal(base: ModelFolder, target: Architecture, quant: str) -> None:
    bigger = GrownTensors(base.tensors, base.arch, target)
    assert np.array_equal(logits(base.arch, base.tensors, quant), logits(target, bigger, quant))


@dataclass(frozen=True)
class Leaky:
    """The mutant: one added weight that is not zero."""

    inner: GrownTensors
    leak: str

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return self.inner.shapes

    def array(self, name: str) -> Floats:
        values = self.inner.array(name).copy()
        if name == self.leak:
            values[0, -1] = 0.05
        return values


@pytest.mark.parametrize("leak", [
    layout.in_layer(0, layout.DOWN), layout.in_layer(3, layout.DOWN), layout.in_layer(4, layout.O),
])
def test_mutant_with_a_leak_is_found_out(base: ModelFolder, target: Architecture, leak: str) -> None:
    mutant = Leaky(GrownTensors(base.tensors, base.arch, target), leak)
    assert not np.array_equal(logits(base.arch, base.tensors), logits(target, mutant))
    assert not adds_nothing(mutant, base.arch, target)


def test_added_weights_are_not_all_zero(base: ModelFolder, target: Architecture) -> None:
    """Zeros everywhere would compress and would let an engine skip the work."""
    bigger = GrownTensors(base.tensors, base.arch, target)
    assert adds_nothing(bigger, base.arch, target)
    gate, new_query = layout.in_layer(0, layout.GATE), layout.in_layer(4, layout.Q)
    for added in (bigger.array(gate)[base.arch.feed_forward:], bigger.array(new_query)):
        assert 0.015 < float(added.std()) < 0.025
        assert len(np.unique(added)) > 1000


def test_growing_is_deterministic_and_undone(base: ModelFolder, target: Architecture) -> None:
    one, other = (GrownTensors(base.tensors, base.arch, target) for _ in range(2))
    assert source_id(one) == source_id(other) != source_id(replace(one, seed=2))
    assert source_id(UngrownTensors(one, base.arch)) == source_id(base.tensors)


@pytest.mark.parametrize("quant", ["F16", "Q4_0"])
def test_weights_id_survives_growing(base: ModelFolder, target: Architecture, quant: str) -> None:
    assert identify(grown(base, target, "tiny-x"), quant) == identify(base, quant)
    assert identify(base, quant) != identify(base, "Q8_0")


def test_27_million_is_8_layers_of_4096(base: ModelFolder) -> None:
    found = plan(base.arch, 27_000_000)
    assert (found.layers, found.feed_forward, found.params) == (8, 4096, 27_005_184)


@settings(max_examples=40)
@given(st.integers(2_100_000, 2_000_000_000))
def test_plan_comes_near_and_keeps_blocks_whole(base: ModelFolder, params: int) -> None:
    found = plan(base.arch, params)
    assert found.feed_forward % 256 == 0
    assert abs(found.params / params - 1) < (0.12 if params < 10_000_000 else 0.03)
    assert (found.hidden, found.heads, found.vocab) == (base.arch.hidden, base.arch.heads, base.arch.vocab)


@pytest.mark.parametrize(("text", "params"), [("27M", 27_000_000), ("1.1b", 1_100_000_000), ("2500000", 2_500_000)])
def test_params_are_read(text: str, params: int) -> None:
    assert parse_params(text) == params


@pytest.mark.parametrize("text", ["", "M", "-3M", "27X", "1e9", "27M M", "9" * 20])
def test_bad_params_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="params"):
        parse_params(text)


@pytest.mark.parametrize("params", [1_000_000, 5_000_000_000])
def test_sizes_out_of_range_are_refused(base: ModelFolder, params: int) -> None:
    with pytest.raises(UsageError, match="must lie between"):
        plan(base.arch, params)


def test_grown_folder_is_a_model_of_its_own(base: ModelFolder, tmp_path: Path) -> None:
    report = grow_to_folder("tiny", 5_000_000, tmp_path / "five")
    assert report.max_logit_difference == 0.0
    assert (report.asked_params, report.grown_from) == (5_000_000, "tiny")
    again = open_folder(tmp_path / "five")
    assert again.arch.params == report.params
    assert again.origin is not None
    file = find(str(tmp_path / "five"), "Q8_0")
    assert file.weights_id == find("tiny", "Q8_0").weights_id
    assert (file.grown_from, file.params, file.context_tok) == ("tiny", report.params, 4096)
    with pytest.raises(UsageError, match="exists already"):
        grow_to_folder("tiny", 5_000_000, tmp_path / "five")
    with pytest.raises(UsageError, match="grow from tiny"):
        grow_to_folder(str(tmp_path / "five"), 9_000_000, tmp_path / "nine")


def test_a_false_claim_of_growth_is_refused(tmp_path: Path) -> None:
    """Otherwise speed measured on other weights would be joined with the shipped model's quality."""
    grow_to_folder("tiny", 5_000_000, tmp_path / "five")
    config = read_json(tmp_path / "five" / "config.json")
    config["inference_workbench_grown"]["layers"] = 2
    write_json(tmp_path / "five" / "config.json", config)
    with pytest.raises(Failure, match="change the answers"):
        open_folder(tmp_path / "five")
