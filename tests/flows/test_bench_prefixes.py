"""Prompts that share on purpose are really found in a real engine's cache; the rate stands beside the ideal."""

import json
from pathlib import Path

import pytest

from workbench.config import validate
from workbench.flows import bench_prompts
from workbench.flows.bench import bench
from workbench.flows.bench_hits import hits
from workbench.flows.bench_spec import BenchSpec
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Planned, Row
from workbench.runlog.table import RunLog
from workbench.workload.prompts import Prompts

ENGINE = {"name": "llama.cpp", "model": "tiny", "quant": "Q4_0", "options": {
    "slots": 1, "threads": 1, "prefix_caching": True, "ctx_per_slot_tok": 2048}}


def test_the_hit_rate_stands_beside_the_ideal_one_of_what_ended_ok() -> None:
    def row(name: str, sent_ns: int, ids: tuple[int, ...], cached: int | None, outcome: str = "ok") -> Row:
        return Row(request_id=name, sent_ns=sent_ns, asked_prompt_tok=40, prompt_tok=40, cached_tok=cached,
                   prefix_ids=ids, prefix_tok=16, outcome=outcome)  # type: ignore[arg-type]

    rows = [row("a", 5, (1, 2), 16), row("b", 1, (1, 3), 0), row("c", 2, (1, 2), 0, "error")]
    found = hits(RunLog.from_rows(Provenance("real", "2026-11-23T00:00:00Z"), rows))
    assert found == {"hit_frac": 16 / 80, "n": 2, "shared_on_purpose": True, "ideal_hit_frac": 16 / 80, "block_tok": 16}
    alone = [Row(request_id="a", prompt_tok=9, outcome="ok")]
    assert hits(RunLog.from_rows(Provenance("real", "2026-11-23T00:00:00Z"), alone)) == {
        "hit_frac": None, "n": 0, "shared_on_purpose": False, "ideal_hit_frac": None, "block_tok": None}


def test_by_words_too_equal_ids_are_an_equal_beginning() -> None:
    plans = [Planned("a", 0, 60, 1, prefix_ids=(1, 2), prefix_tok=16), Planned("b", 0, 60, 1, prefix_ids=(1, 3),
             prefix_tok=16), Planned("c", 0, 90, 1, prefix_ids=(1, 2), prefix_tok=16), Planned("d", 0, 60, 1)]
    made = [bench_prompts._sharing(Prompts(salt=3), plan, i, round(plan.asked_prompt_tok / 1.3), 1.3).split()
            for i, plan in enumerate(plans)]
    a, b, c, d = made
    assert [len(words) for words in made] == [46, 46, 69, 46]
    assert a[:24] == c[:24]  # 32 tokens are 24 words of 1.3
    assert a[24:] != c[24:46]
    assert a[:12] == b[:12]
    assert a[12] != b[12]
    assert a[0] != d[0]


@pytest.mark.slow
def test_blocks_of_a_trace_and_turns_of_a_session_are_found_in_llama_cpps_cache(tmp_path: Path) -> None:
    """One slot, one request after another, each beginning as the one before it: every common token is found."""
    lines = [{"timestamp": i, "input_length": 300, "output_length": 4, "hash_ids": [1, 2, 3, 4, 10 + i // 2]}
             for i in range(6)]
    (tmp_path / "trace.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    columns = {"time": "timestamp", "prompt_tok": "input_length", "output_tok": "output_length", "unit": "ms",
               "prefix_ids": "hash_ids", "prefix_tok": 50}
    traced = {"arrivals": {"kind": "closed"}, "trace": {"file": "trace.jsonl", "format": "jsonl", "columns": columns}}
    spec = validate(BenchSpec, {"engine": ENGINE, "workload": traced, "concurrency": 1}, "t")
    done = bench(spec, tmp_path / "trace", base=tmp_path)
    cached = [row.cached_tok for row in sorted(done.log.rows(), key=lambda row: row.request_id)]
    assert cached[0] == 0
    assert [abs((got or 0) - want) <= 2 for got, want in zip(cached[1:], (250, 200, 250, 200, 250), strict=True)] == [
        True] * 5, cached
    found = done.summary["prefix"]
    assert found["hit_frac"] == pytest.approx(found["ideal_hit_frac"], abs=0.01)
    assert found["ideal_hit_frac"] == 1150 / 1800

    talk = {"requests": 8, "arrivals": {"kind": "closed"}, "sessions": {"turns": [4], "think_s": 0.01},
            "prompt_tok": {"kind": "fixed", "tok": 70}, "output_tok": {"kind": "fixed", "tok": 6}}
    spec = validate(BenchSpec, {"engine": ENGINE, "workload": talk, "concurrency": 1}, "t")
    done = bench(spec, tmp_path / "talk")
    rows = sorted(done.log.rows(), key=lambda row: row.request_id)
    assert [row.prompt_tok for row in rows] == [70, 146, 222, 298] * 2
    for k, row in enumerate(rows):  # the whole earlier prompt, and of its answer nothing but chance
        want = 76 * (k % 4) - 6 if k % 4 else 0
        assert want <= (row.cached_tok or 0) <= want + 2

