"""The silicon sample: what is left out and why, what repeats say, and a few rows simulated."""

import csv
from pathlib import Path

import pytest

from workbench.errors import Failure, UsageError
from workbench.flows.silicon_loop import NotModelledError, schedule, simulate_cell
from workbench.flows.silicon_sample import NAME, Cell, Workers, read, stratified
from workbench.flows.validate_silicon import validate_silicon
from workbench.profile.silicon.database import package_folder

PARALLEL = ("tp_size", "pp_size", "attention_dp_size", "moe_tp_size", "moe_ep_size")
AGG = {
    "id": "a", "silicon_data_source": "x", "backend": "vllm", "backend_version": "0.19.0", "mode": "agg",
    "model_path": "meta-llama/Llama-3.1-70B", "system": "h200_sxm", "precision": "fp8", "isl": "1024", "osl": "128",
    "gemm_quant_mode": "fp8", "moe_quant_mode": "fp8", "batch_size": "8.0", "silicon_ttft_ms": "250",
    "silicon_tpot_ms": "10", **dict.fromkeys(PARALLEL, "1.0"), "tp_size": "4.0", "moe_tp_size": "4.0",
}
DISAGG = AGG | {"mode": "disagg", "batch_size": ""} | {
    f"{pool}_{name}": AGG[name] for pool in ("prefill", "decode") for name in PARALLEL
} | {"prefill_batch_size": "1.0", "prefill_num_workers": "1.0", "decode_batch_size": "4.0", "decode_num_workers": "2"}


def sample(folder: Path, *rows: dict[str, str]) -> Path:
    path = folder / NAME
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(DISAGG), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_duplicates_and_incomplete_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    found = read(sample(
        tmp_path, AGG, AGG | {"id": "b", "silicon_data_source": "y"}, AGG | {"batch_size": ""}, DISAGG,
        DISAGG | {"decode_num_workers": ""}, AGG | {"silicon_tpot_ms": "12"},
    ))
    assert found.left_out == {"duplicate": 1, "no workers or batch": 2}
    assert (found.rows, len(found.cells)) == (6, 3)
    assert [cell.concurrency for cell in found.cells] == [8, 8, 8]
    assert found.cells[1].prefill == Workers(1, 1, 4, 1, 1)
    assert found.noise["tpot_s"] == {
        "configurations": 1, "n": 2, "mape_frac": pytest.approx(1 / 11), "worst_ratio": pytest.approx(1.2)}


@pytest.mark.parametrize(("change", "told"), [
    ({"silicon_tpot_ms": "fast"}, "line 3: could not convert"), ({"silicon_ttft_ms": "0"}, "line 3: TTFT 0.0 ms"),
    ({"batch_size": "1.5"}, "line 3: batch_size is '1.5'"), ({"isl": ""}, "line 3: invalid literal"),
    ({"silicon_tpot_ms": "nan"}, "line 3: TTFT"),
])
def test_a_corrupt_row_is_named(tmp_path: Path, change: dict[str, str], told: str) -> None:
    with pytest.raises(Failure, match=f"{NAME}: {told}"):
        read(sample(tmp_path, AGG, AGG | change))


def test_another_csv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(UsageError, match="not a silicon sample"):
        read(path)


def test_the_packages_own_sample() -> None:
    """As counted by other means: 5,221 rows, 696 duplicates, 274 of 1,244 disaggregated rows complete."""
    found = read(package_folder() / "systems" / NAME)
    assert found.rows == 5_221
    assert found.left_out == {"duplicate": 696, "no workers or batch": 970}
    assert len(found.cells) == 3_555
    assert sum(cell.prefill is not None for cell in found.cells) == 274
    few = stratified(found.cells, 40)
    assert len(few) == len(set(few)) == 40
    assert {cell.engine for cell in few} == {"vllm", "sglang", "trtllm"}
    assert len({(cell.engine, cell.gpu, cell.model) for cell in few}) == 40


def test_rows_are_simulated_and_what_cannot_be_says_why(tmp_path: Path) -> None:
    """A 70B model on four H200: the sample itself says about 10 ms (8 in flight, 1,024 in, 1,024 out, vLLM)."""
    path = sample(tmp_path, AGG, DISAGG, AGG | {"model_path": "nobody/knows"}, AGG | {"gemm_quant_mode": "int9"})
    told: list[tuple[int, int]] = []
    found = validate_silicon(path, prompts_per_seat=3, on_cell=lambda done, of: told.append((done, of)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (found["chosen"], found["simulated"]) == (4, 3), found["not_modelled"]
    assert found["not_modelled"] == [{"reason": "the model is not in the kernel database", "n": 1}]
    assert found["other_quantisation"] == 1
    assert abs(found["overall"]["tpot_s"]["bias_frac"]) < 0.4
    assert abs(found["two_pools"]["tpot_s"]["bias_frac"]) < 0.4
    assert [row["n"] for row in found["groups"]] == [2]
    with pytest.raises(UsageError, match="it has the engines vllm and the GPUs h200_sxm"):
        validate_silicon(path, gpu="h100_sxm")


def test_twice_the_requests_in_flight_are_slower_and_the_same_cell_is_the_same(tmp_path: Path) -> None:
    """A mutant's place: were the concurrency ignored, both would be alike."""
    few, many = read(sample(tmp_path, AGG, AGG | {"batch_size": "64"})).cells
    assert schedule(few, 3) == schedule(few, 3)
    assert len(schedule(many, 3)) == 192
    assert all(820 <= item.asked_prompt_tok + 1 <= 1_025 for item in schedule(many, 3))
    assert simulate_cell(many, 3).tpot_s > 1.2 * simulate_cell(few, 3).tpot_s
    with pytest.raises(NotModelledError, match="heads do not divide"):
        simulate_cell(Cell(**{**{name: getattr(few, name) for name in Cell.__dataclass_fields__},
                              "decode": Workers(1, 8, 24, 1, 1)}))
