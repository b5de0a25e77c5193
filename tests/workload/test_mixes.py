"""Mixtures, correlated lengths, presets, tenants of their own, other rates, and run logs as traces."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import validate
from workbench.errors import Failure, UsageError
from workbench.runlog.part import PartWriter
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Row
from workbench.runlog.table import RunLog, write
from workbench.workload.draw import draw
from workbench.workload.lengths import EmpiricalTok, FixedTok, LogNormalTok, MixtureTok, correlated, expected_tok
from workbench.workload.rated import at_rate, rate_of
from workbench.workload.spec import WorkloadSpec

HERE = Path()
LENGTHS = {"prompt_tok": {"kind": "fixed", "tok": 8}, "output_tok": {"kind": "fixed", "tok": 4}}
POISSON = {"kind": "poisson", "rate_per_s": 2.0}


def spec(**raw: Any) -> WorkloadSpec:
    return validate(WorkloadSpec, raw, "t")


def mixture(*parts: tuple[float, Any]) -> MixtureTok:
    return MixtureTok(parts=[{"weight": w, "of": of} for w, of in parts])  # type: ignore[arg-type]


def test_a_mixture_of_one_is_that_one_and_of_lists_the_list_of_both() -> None:
    uniform = np.random.default_rng(1).random(2000)
    alone = LogNormalTok(p50_tok=90, p95_tok=400, min_tok=3, max_tok=900)
    assert (mixture((2.0, alone)).lengths_tok(uniform, HERE) == alone.lengths_tok(uniform, HERE)).all()
    both = mixture((2, EmpiricalTok(tok=(5, 9))), (1, FixedTok(tok=7)))
    together = EmpiricalTok(tok=(5, 9, 7))
    assert (both.lengths_tok(uniform, HERE) == together.lengths_tok(uniform, HERE)).all()
    assert expected_tok(both, HERE) == 7.0


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=40))
def test_in_a_mixture_too_a_larger_uniform_is_a_longer_request(drawn: list[float]) -> None:
    kind = mixture((1, FixedTok(tok=300)), (3, LogNormalTok(mean_tok=100, sigma=1.5, max_tok=5000)))
    found = kind.lengths_tok(np.sort(drawn), HERE)
    assert (np.diff(found) >= 0).all()
    assert found[0] >= 1
    assert found[-1] <= 5000


def test_correlated_lengths_keep_their_distribution_and_no_correlation_changes_nothing() -> None:
    one, two = np.random.default_rng(2).random((2, 50_000))
    assert correlated(one, two, 0.0) is two
    third = correlated(one, two, 0.8)
    assert np.abs(np.sort(third) - (np.arange(50_000) + 0.5) / 50_000).max() < 0.01
    ranks = np.array([np.argsort(np.argsort(item)) for item in (one, third)], dtype=np.float64)
    assert np.corrcoef(ranks)[0, 1] == pytest.approx(6 / np.pi * np.arcsin(0.4), abs=0.01)  # Spearman's, of a normal
    raw = LENGTHS | {"requests": 50, "arrivals": POISSON, "output_tok": {"kind": "empirical", "tok": [1, 5, 9]}}
    plain, bent = draw(spec(**raw), 3), draw(spec(**raw, length_corr=-0.9), 3)
    assert [(a.intended_ns, a.asked_prompt_tok) for a in plain] == [(b.intended_ns, b.asked_prompt_tok) for b in bent]
    assert plain != bent


def test_the_preset_says_what_was_fitted(public_data: Path) -> None:
    path = public_data / "llmservingsim/workloads/sharegpt-llama-3.1-8b-300-sps10.lengths.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    drawn = draw(spec(lengths="sharegpt-long", requests=20_000, arrivals=POISSON), 1)
    for key, got in (("input_toks", [i.asked_prompt_tok for i in drawn]),
                     ("output_toks", [i.asked_output_tok for i in drawn])):
        real = np.sort([row[key] for row in rows])
        worst = np.abs(np.searchsorted(np.sort(got), real, side="right") / len(drawn)
                       - (np.arange(len(real)) + 1) / len(real)).max()
        assert worst < 0.07  # KS distance; 1.36 / sqrt(300) = 0.079 is the 5 % point


@pytest.mark.parametrize(("raw", "says"), [
    ({"lengths": "sharegpt"}, r"t: lengths: 'sharegpt': no such preset; known: sharegpt-long"),
    ({"lengths": "sharegpt-long", "length_corr": 0.1}, r"t: length_corr: the preset 'sharegpt-long' says it"),
    ({**LENGTHS, "length_corr": 1.0}, r"t: length_corr: 1.0: "),
    ({"tenants": [{**LENGTHS, "requests": 3, "arrivals": {"kind": "closed"}}]}, "tenants: closed arrivals"),
    ({"tenants": [{**LENGTHS, "requests": 3, "arrivals": POISSON}], "tenant": "a"}, "tenant: say it in each"),
    ({"tenants": [{**LENGTHS, "requests": 3, "arrivals": POISSON}] * 2}, "'default' is there already"),
])
def test_bad_mixes_are_one_line(raw: dict[str, Any], says: str) -> None:
    base = {} if "tenants" in raw else {"requests": 5, "arrivals": POISSON}
    with pytest.raises(UsageError, match=says):
        spec(**base, **raw)


def mixed(*more: dict[str, Any], **top: Any) -> WorkloadSpec:
    acme = {"tenant": "acme", "requests": 20, "arrivals": POISSON, **LENGTHS, "prefix": {"groups": 1, "tok": 16},
            "prompt_tok": {"kind": "fixed", "tok": 64}}
    bursts = [{"at_s": 3, "for_s": 2, "rate_per_s": 5.0}]
    talk = {"tenant": "talk", "tier": "pro", "requests": 20, "sessions": {"turns": [3], "think_s": 1.0}, **LENGTHS,
            "arrivals": {"kind": "bursts", "rate_per_s": 1.0, "bursts": bursts}}
    return spec(tenants=[acme, talk, *more], **top)


def test_tenants_in_one_workload_leave_each_other_alone() -> None:
    base, more = draw(mixed(), 5), draw(mixed({"tenant": "new", "requests": 9, "arrivals": POISSON, **LENGTHS}), 5)
    assert [item for item in more if item.tenant != "new"] == list(base)
    begins = [item.intended_ns or 0 for item in base if not item.after]
    assert begins == sorted(begins)
    acme = {one for item in base if item.tenant == "acme" for one in item.prefix_ids}
    assert not acme & {one for item in base if item.tenant == "talk" for one in item.prefix_ids}
    known = set[str]()
    for item in base:  # a turn comes after the one that it follows
        assert not item.after or item.after in known
        known.add(item.request_id)
    few = draw(mixed(requests=15, warmup_requests=4), 5)
    assert [item.request_id for item in few] == [item.request_id for item in base[:15]]
    assert [item.warmup for item in few] == [True] * 4 + [False] * 11


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_at_another_rate_the_shape_stays(factor: float) -> None:
    workload = mixed()
    assert rate_of(workload) == 3.0
    other = at_rate(workload, 3.0 * factor)
    assert [rate_of(one) for one in other.tenants] == [2.0 * factor, 1.0 * factor]
    assert other.tenants[1].arrivals.bursts[0].rate_per_s == 5.0 * factor  # type: ignore[union-attr]
    trace = spec(trace={"file": "x.csv", "format": "azure", "speed": 2.0})
    assert at_rate(trace, 7.0).trace.rate_per_s == 7.0  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="says no rate"):
        rate_of(trace)


ROWS = [
    Row(request_id="a", tenant="x", tier="pro", asked_prompt_tok=40, asked_output_tok=9, prompt_tok=41, output_tok=5,
        intended_ns=2_000, sent_ns=2_100, outcome="ok", prefix_ids=(1, 2), prefix_tok=16),
    Row(request_id="b", asked_prompt_tok=20, asked_output_tok=9, output_tok=2, intended_ns=1_000, outcome="timeout"),
    Row(request_id="c", prompt_tok=30, output_tok=7, sent_ns=5_000, outcome="ok"),
    Row(request_id="d", asked_prompt_tok=20, asked_output_tok=9, outcome="unfinished"),
]


def test_a_run_log_is_asked_again(tmp_path: Path) -> None:
    write(RunLog.from_rows(Provenance("real", "2026-11-23T00:00:00Z"), ROWS), tmp_path / "run.parquet")
    found = draw(spec(trace={"file": "run.parquet", "format": "runlog"}), 1, base=tmp_path)
    assert [(i.intended_ns, i.asked_prompt_tok, i.asked_output_tok, i.tenant, i.tier, i.prefix_ids) for i in found] == [
        (0, 20, 9, "default", "standard", ()), (1_000, 40, 5, "x", "pro", (1, 2)),
        (4_000, 30, 7, "default", "standard", ())]
    named = draw(spec(trace={"file": "run.parquet", "format": "runlog"}, tenant="me"), 1, base=tmp_path)
    assert {item.tenant for item in named} == {"me"}
    later = draw(spec(trace={"file": "run.parquet", "format": "runlog", "start_s": 5e-7}), 1, base=tmp_path)
    assert [(item.intended_ns, item.tenant) for item in later] == [(500, "x"), (3_500, "default")]


def test_a_run_that_was_cut_off_is_asked_again_whole_with_its_prefixes(tmp_path: Path) -> None:
    schedule = draw(spec(**LENGTHS | {"prompt_tok": {"kind": "fixed", "tok": 64}}, requests=6, arrivals=POISSON,
                         prefix={"groups": 1, "tok": 32}), 2)
    part = PartWriter(tmp_path / "run.part.jsonl", Provenance("real", "2026-11-23T00:00:00Z"), schedule)
    part.write([Row(request_id="r000001", asked_prompt_tok=64, asked_output_tok=4, intended_ns=schedule[1].intended_ns,
                    sent_ns=1, output_tok=4, outcome="ok")])
    part.close()
    found = draw(spec(trace={"file": "run.part.jsonl", "format": "runlog"}), 1, base=tmp_path)
    zero_ns = schedule[0].intended_ns or 0
    assert [(i.intended_ns, i.prefix_ids, i.prefix_tok) for i in found] == [
        ((i.intended_ns or 0) - zero_ns, i.prefix_ids, i.prefix_tok) for i in schedule]


def test_logs_that_cannot_be_asked_again_are_one_line(tmp_path: Path) -> None:
    source = {"file": "run.parquet", "format": "runlog"}
    write(RunLog.from_rows(Provenance("real", "2026-11-23T00:00:00Z"), ROWS[3:]), tmp_path / "run.parquet")
    with pytest.raises(UsageError, match=r"run.parquet: no request in it has a time"):
        draw(spec(trace=source), 1, base=tmp_path)
    (tmp_path / "run.parquet").write_text("no parquet")
    with pytest.raises(Failure, match=r"run.parquet: not a run log"):
        draw(spec(trace=source), 1, base=tmp_path)
