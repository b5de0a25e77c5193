"""Silicon profiles: names checked first, nothing leaves the machine, tables that never fall and are near the source."""

import json
import logging
import socket
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import paths
from workbench.errors import Failure, UsageError
from workbench.profile.batch import Batch
from workbench.profile.grid import Grid
from workbench.profile.profile import SHIPPED_MAX_BYTES, Parallel, Profile, read
from workbench.profile.silicon.build import UNTUNED, build
from workbench.profile.silicon.database import Database, load, package_folder
from workbench.profile.silicon.knots import Floats, choose, never_falling
from workbench.profile.silicon.ladder import ladder, rebuild, rung, same
from workbench.profile.silicon.offline import OutsideCallError, kept_warnings, no_network
from workbench.profile.silicon.setup import known_gpus, known_models, setup

SHIPPED = sorted((paths.datasets() / "profiles" / "silicon").glob("*.json"))
REBUILT = ("llama-3.1-8b-a100-tp1-bf16", "qwen3-32b-l40s-tp4-fp8")
MODEL = "Qwen/Qwen3-32B"
LARGE = "Qwen/Qwen3-Coder-480B-A35B-Instruct"

tables = st.integers(1, 6).flatmap(lambda columns: st.lists(
    st.lists(st.integers(0, 1000), min_size=columns, max_size=columns), min_size=1, max_size=6,
)).map(lambda rows: np.asarray(rows, dtype=np.float64))


def falls(table: Floats) -> bool:
    return any(bool((np.diff(table, axis=axis) < 0).any()) for axis in range(table.ndim))


@given(table=tables)
def test_never_falling(table: Floats) -> None:
    found = never_falling(table)
    assert not falls(found)
    if not falls(table):
        assert (found == table).all()
    assert table.min() <= found.min() <= found.max() <= table.max()


@given(values=st.lists(st.integers(1, 1000), min_size=3, max_size=30), limit=st.integers(3, 30))
def test_chosen_knots_are_near_or_all_that_was_allowed(values: list[int], limit: int) -> None:
    at, row = range(1, len(values) + 1), np.asarray(values, dtype=np.float64)
    kept = choose(at, row[None], row, within_frac=0.1, limit=limit)
    off = np.abs(np.interp(at, np.asarray(at)[kept], row[kept]) - row) / row
    assert kept == sorted(set(kept))
    assert kept[0] == 0
    assert kept[-1] == len(values) - 1
    assert off.max() <= 0.1 or len(kept) == min(limit, len(values))


def test_ids_are_the_databases_own() -> None:
    package = package_folder()
    assert setup(package, "meta-llama/Llama-3.1-8B-Instruct", "H100").model == "meta-llama/Meta-Llama-3.1-8B"
    assert setup(package, "qwen/qwen3-coder-480b-a35b", "h200").experts
    assert not setup(package, MODEL, "l40s").experts
    assert {"h100_sxm", "l40s", "a100_sxm", "h200_sxm", "b200_sxm"} <= set(known_gpus(package, "vllm"))
    assert len(known_models(package)) > 50


@pytest.mark.parametrize(("words", "options", "part"), [
    (("Qwen/Qwen3-33B", "h100"), {}, "did you mean Qwen/Qwen3-32B"),
    ((MODEL, "h300"), {}, "did you mean"),
    ((MODEL, "h100"), {"quant": "fp9"}, "did you mean fp8"),
    ((MODEL, "h100"), {"engine": "ollama"}, "known values: sglang, trtllm, vllm"),
    ((MODEL, "h100"), {"parallel": Parallel(tp=2, ep=2)}, "no experts to share"),
    ((MODEL, "h100"), {"quant": "mxfp4"}, "only experts are quantised so"),
    ((LARGE, "h200"), {"parallel": Parallel(tp=8, ep=3)}, "must divide --tp x --dp = 8"),
    ((MODEL, "h100"), {"parallel": Parallel(tp=3)}, "--tp 3: .* heads do not divide; use one of 1, 2, 4, 8"),
    ((MODEL, "h100"), {"parallel": Parallel(pp=500)}, "--pp 500: there are [0-9]+ layers only"),
    ((LARGE, "h200"), {"parallel": Parallel(tp=12)}, "--tp 12: 8 KV heads do not divide; use one of 1, 2, 4, 8"),
    ((LARGE, "h200"), {"parallel": Parallel(tp=1, dp=3, ep=3)}, "--ep 3: 160 experts do not divide; try --ep 1"),
])
def test_unknown_names_are_one_line(words: tuple[str, str], options: dict[str, object], part: str) -> None:
    with pytest.raises(UsageError, match=part) as caught:
        setup(package_folder(), *words, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("model", "gpu", "quant", "split", "part"), [
    (MODEL, "l40s", "bf16", Parallel(), "does not fit"),
    (MODEL, "a100", "fp8", Parallel(tp=2), "known there: bf16"),
    (LARGE, "l40s", "fp8", Parallel(tp=8), "experts do not split 8 ways by tensor.* use --ep 8"),
])
def test_what_does_not_work_is_refused_with_the_reason(
    model: str, gpu: str, quant: str, split: Parallel, part: str
) -> None:
    with pytest.raises(UsageError, match=part) as caught:
        build(setup(package_folder(), model, gpu, quant=quant, parallel=split), "2026-01-01")
    assert "\n" not in str(caught.value)
    assert "/site-packages/" not in str(caught.value)


def test_the_network_is_refused_and_restored() -> None:
    resolve = socket.getaddrinfo
    with no_network(), pytest.raises(OutsideCallError, match="may not ask a hub"):
        socket.create_connection(("127.0.0.1", 9))
    with no_network(), socket.socket() as plain, pytest.raises(OutsideCallError):
        plain.connect(("127.0.0.1", 9))
    assert socket.getaddrinfo is resolve
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())


def test_warnings_are_kept_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with kept_warnings("some_package") as found:
        logging.getLogger("some_package.part").warning("low fidelity")
    assert found == ["low fidelity"]
    assert capsys.readouterr().err == ""


@pytest.fixture(scope="module")
def rebuilt() -> dict[str, Profile]:
    return {name: build(rung(package_folder(), name), "another day") for name in REBUILT}


@pytest.mark.parametrize("name", REBUILT)
def test_a_rung_is_rebuilt_as_it_ships(rebuilt: dict[str, Profile], name: str) -> None:
    shipped = read(paths.datasets() / "profiles" / "silicon" / f"{name}.json")
    assert same(rebuilt[name], shipped)
    assert not same(rebuilt[name].model_copy(update={"kv_blocks": 1}), shipped)
    assert {"decode", "prefill", "mixed", "several prompts"} == set(shipped.grid_report.residuals)  # type: ignore[union-attr]


def test_rebuilding_keeps_the_date_of_what_did_not_change(tmp_path: Path) -> None:
    only = "llama-3.1-8b-a100-tp1"
    lines = list(rebuild(tmp_path, "2026-01-01", only))
    assert sum("left out: --quant" in line for line in lines) == 2  # A100 has no fp8, no nvfp4
    first = (tmp_path / f"{only}-bf16.json").read_bytes()
    assert list(rebuild(tmp_path, "2027-01-01", only)) == lines
    assert (tmp_path / f"{only}-bf16.json").read_bytes() == first
    with pytest.raises(UsageError, match="not a name of the ladder"):
        rung(package_folder(), "llama-9")


def test_the_table_is_near_the_database(rebuilt: dict[str, Profile]) -> None:
    """The database's own sum for one prompt beside decodes is what the parts add up to."""
    name = REBUILT[0]
    database = Database(rung(package_folder(), name), batched_tok=8192, seqs=256)
    profile = rebuilt[name]
    for new, decodes in ((64, 1), (512, 16), (2048, 64)):
        ms = database.mixed_ms(new, decodes)
        parts = database.rest_ms(new + decodes) + database.prompt_attention_ms(new, 0) + database.step(decodes, new)[1]
        assert parts == pytest.approx(ms, rel=0.01)
        batch = Batch(((new, 0),), decodes, decodes * new, new, new)
        assert profile.iteration_ns(batch) / 1e6 == pytest.approx(ms, rel=0.05)
    assert profile.kv_blocks == database.kv_tok // 16


def test_every_rung_that_ships_is_small_sound_and_says_where_it_is_thin() -> None:
    assert 60 <= len(SHIPPED) <= 130
    known = {name for name, *_ in ladder()}
    for file in SHIPPED:
        assert file.stem in known
        assert file.stat().st_size <= SHIPPED_MAX_BYTES
        profile = read(file)
        assert profile.source == "silicon"
        assert isinstance(profile.model, Grid)
        assert profile.thin
        assert "Apache-2.0" in profile.provenance["database"]
        assert profile.kv_blocks == profile.rules["kv_blocks"]
        assert profile.subject.gpus == profile.parallel.tp
        steps = [profile.iteration_ns(Batch((), n, n * 1024, 1024, 1024)) for n in (1, 8, 64, 256)]
        assert all(a <= b for a, b in pairwise(steps))
        assert "/site-packages" not in file.read_text()
    assert sum(file.stat().st_size for file in SHIPPED) < 1_000_000


def test_a_format_that_is_slower_than_more_bits_is_named() -> None:
    """Block-wise dense matrices were measured on untuned kernels."""
    def slower(gpu: str, quant: str) -> float:
        asked = setup(package_folder(), MODEL, gpu, quant=quant)
        return Database(asked, batched_tok=2048, seqs=256).slower_than_bf16()

    assert slower("l40s", "fp8_block") > UNTUNED
    assert slower("l40s", "fp8") < UNTUNED
    folder = paths.datasets() / "profiles" / "silicon"
    named = read(folder / "qwen3-coder-480b-a35b-b200-tp8-ep8-fp8.json")
    assert named.provenance["formats"] == {"dense": "fp8", "experts": "fp8_block"}
    assert any("untuned kernels" in text for text in named.thin)


def test_more_gpus_are_faster_and_hold_more() -> None:
    """Eight H100 beat one for a 70B-class model; eight L40S on PCIe gain less than eight H100 on NVLink."""
    def step_ms(name: str) -> float:
        profile = read(paths.datasets() / "profiles" / "silicon" / f"{name}.json")
        return profile.iteration_ns(Batch((), 64, 64 * 1024, 1024, 1024)) / 1e6

    nvlink = step_ms("qwen3-32b-h100-tp2-bf16") / step_ms("qwen3-32b-h100-tp8-bf16")
    pcie = step_ms("qwen3-32b-l40s-tp2-bf16") / step_ms("qwen3-32b-l40s-tp8-bf16")
    assert nvlink > 1.5
    assert pcie < nvlink


def test_a_missing_package_is_one_line_with_the_remedy() -> None:
    with pytest.raises(Failure, match=r"needs aiconfigurator-core: pip install 'inference-workbench\[silicon\]'"):
        load("sdk.part_that_is_not_installed")


def test_provenance_is_json(tmp_path: Path, rebuilt: dict[str, Profile]) -> None:
    profile = rebuilt[REBUILT[1]]
    assert json.loads(profile.to_json())["provenance"]["made_on"] == "another day"
