"""Runs of other kinds than the public one: full caches, several engines, other formats, steps beyond the tables.

Their times are invented; what is tested is that each is simulated as what it is, and what it says of itself.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from kernel_tables import config, tables
from test_validate_vllm import invented

from workbench.flows.validate_vllm import validate_vllm
from workbench.flows.vllm_run import read_measured
from workbench.flows.vllm_schedule import schedule_of


def found_in(
    folder: Path, *, kv_blocks: int | None = 500, meta: dict[str, Any] | None = None, host_us: float | None = None,
    **sizes: int,
) -> dict[str, Any]:
    """`sizes` of the invented run; `meta` in place of its meta.json."""
    perf = folder / "perf" / "RTX4090" / "maker" / "model" / "bf16"
    if not perf.is_dir():
        tables(folder)
    number = sum(1 for _ in folder.glob("run*"))
    bench, workload = invented(folder / f"run{number}", moe=False, **sizes)
    if meta is not None:
        (bench / "vllm" / "meta.json").write_text(json.dumps(meta))
    return validate_vllm(perf, config(folder), workload, bench, kv_blocks=kv_blocks, host_us=host_us,
                         sensitivity=False)


def test_with_fewer_blocks_requests_wait_longer_and_none_is_lost(tmp_path: Path) -> None:
    runs = [found_in(tmp_path, kv_blocks=blocks, n=60) for blocks in (500, 60, 40, 30)]
    for name in ("ttft_s", "e2e_s"):
        means = [run["metrics"][name]["mean"]["simulated"] for run in runs]
        assert means == sorted(means), name
        assert means[-1] > 1.1 * means[0], name
    assert runs[0]["preemptions"] == 0 < runs[1]["preemptions"]
    for run in runs:
        assert run["metrics"]["e2e_s"]["n"] == {"measured": 60, "simulated": 60}
        assert run["requests"] == 60


def test_the_answer_holds_what_a_judge_needs(tmp_path: Path) -> None:
    found = json.loads(json.dumps(found_in(tmp_path), allow_nan=False))
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        for stat in ("mean", "p50", "p95", "p99"):
            assert found["metrics"][name][stat].keys() == {"measured", "simulated", "rel_error_frac"}
        assert found["metrics"][name]["mape_frac"] > 0
    assert found.keys() >= {"iterations", "preemptions", "cpu_s", "kv_blocks", "limits", "outside_profile_range"}
    assert found["kv_blocks"].keys() == {"value", "origin", "basis"}


def test_steps_beyond_the_tables_are_counted_by_field(tmp_path: Path) -> None:
    wide = {"engine_kwargs": {"max_num_seqs": 300, "max_num_batched_tokens": 16_384, "enforce_eager": True}}
    inside = found_in(tmp_path)
    outside = found_in(tmp_path, kv_blocks=5000, meta=wide, host_us=200_000, n=120)["outside_profile_range"]
    assert inside["outside_profile_range"] == {
        "iterations": inside["iterations"], "outside": 0, "frac": 0.0, "fields": {}}
    assert outside["fields"].keys() == {"prefill_tok"}
    assert 0 < outside["outside"] == outside["fields"]["prefill_tok"] < outside["iterations"]
    assert outside["frac"] == pytest.approx(outside["outside"] / outside["iterations"])


def test_an_8_bit_cache_holds_twice_as_much_and_is_said_to_be_unmeasured(tmp_path: Path) -> None:
    wide, narrow = (found_in(tmp_path, kv_blocks=None, meta={"engine_kwargs": {"kv_cache_dtype": kind}})
                    for kind in ("bfloat16", "fp8"))
    assert narrow["kv_blocks"]["value"] == pytest.approx(2 * wide["kv_blocks"]["value"], abs=1)
    assert narrow["kv_blocks"]["origin"] == "derived"
    assert "KV cache is fp8, the tables bf16 are of a 16-bit one" in narrow["thin"][-1]
    assert "KV cache" not in " ".join(wide["thin"])


def test_engines_of_a_dense_model_go_each_its_own_way(tmp_path: Path) -> None:
    one, three = found_in(tmp_path), found_in(tmp_path, meta={"engine_kwargs": {
        "data_parallel_size": 3, "max_num_seqs": 8, "max_num_batched_tokens": 256}})
    assert (three["limits"]["replicas"], three["limits"]["ranks"]) == (3, 1)
    assert three["metrics"]["e2e_s"]["mean"]["simulated"] < one["metrics"]["e2e_s"]["mean"]["simulated"]


@pytest.mark.parametrize("meta", [{}, {"engine_kwargs": None}, {"resolved_config": []}, {"kv_cache": 3}])
def test_what_meta_json_does_not_state_is_vllms_default(tmp_path: Path, meta: dict[str, Any]) -> None:
    limits = found_in(tmp_path, meta=meta)["limits"]
    assert (limits["max_num_seqs"], limits["max_num_batched_tokens"], limits["block_tok"]) == (128, 2048, 16)


def test_an_id_of_a_block_that_a_prompt_only_begins_is_left_out(tmp_path: Path) -> None:
    bench, workload = invented(tmp_path, moe=False, n=6)
    rows = [json.loads(line) for line in workload.read_text().splitlines()]
    for row in rows:
        row["hash_ids_16"].append(7)  # rounded up: the last one stands for part of a block
    workload.write_text("".join(json.dumps(row) + "\n" for row in rows))
    schedule = schedule_of(read_measured(bench), workload)
    assert [len(item.prefix_ids) for item in schedule] == [item.asked_prompt_tok // 16 for item in schedule]
