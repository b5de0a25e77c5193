"""Metrics against hand-worked logs, and the laws that hold on every log."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench import metrics
from workbench.metrics import METRICS, Slo, summarise, values
from workbench.runlog import Row
from workbench.runlog.provenance import Provenance
from workbench.runlog.table import RunLog

S = 1_000_000_000
REAL = Provenance(world="real", started_at_utc="2026-01-01T00:00:00Z")


def ok(i: int, sent: int, first: int, last: int, output_tok: int = 11, **more: object) -> Row:
    values: dict[str, object] = {
        "request_id": f"r{i}", "outcome": "ok", "intended_ns": sent, "sent_ns": sent, "first_token_ns": first,
        "last_token_ns": last, "end_ns": last + S, "output_tok": output_tok, "prompt_tok": 7,
    }
    return Row(**(values | more))  # type: ignore[arg-type]


def log(*rows: Row) -> RunLog:
    return RunLog.from_rows(REAL, rows)


def test_by_hand() -> None:
    made = log(ok(0, 0, 2 * S, 12 * S), ok(1, 4 * S, 5 * S, 10 * S, output_tok=6, intended_ns=3 * S))
    assert values(made, "ttft_s").tolist() == [2, 1]
    assert values(made, "ttft_user_s").tolist() == [2, 2]
    assert values(made, "client_queue_s").tolist() == [0, 1]
    assert values(made, "tpot_s").tolist() == [1, 1]
    assert values(made, "e2e_s").tolist() == [12, 6], "to the last token, not to the end of the stream"
    found = summarise(made, {"*": Slo(ttft_s=1.5)})["metrics"]
    assert found["window_s"]["value"]["measured"] == 13
    assert found["goodput_rps"]["value"]["measured"] == 1 / 13
    assert found["output_tok_per_s"]["value"]["measured"] == 17 / 13
    assert found["concurrency_mean"]["value"]["measured"] == (13 + 7) / 13


def test_the_first_chunk_does_not_count_towards_tpot() -> None:
    four = ok(0, 0, 1 * S, 8 * S, output_tok=11, chunk_ns=(1 * S, 8 * S), chunk_tok=(4, 7))
    assert values(log(four), "tpot_s").tolist() == [1.0]
    assert not summarise(log(four))["tpot_is_bound"]
    assert summarise(log(ok(0, 0, 1, 2)))["tpot_is_bound"]


def test_errors_are_bad_and_warmup_is_left_out() -> None:
    bad = Row(request_id="e", outcome="error", sent_ns=0, end_ns=S, error="HTTP 500")
    warm = ok(9, 0, 50 * S, 60 * S, warmup=True)
    found = summarise(log(ok(0, 0, 1, S), bad, warm), {"*": Slo(ttft_s=1)})
    assert found["requests"] == 2
    assert found["warmup"] == 1
    assert found["metrics"]["slo_attainment_frac"]["value"]["measured"] == 0.5
    assert found["metrics"]["error_frac"]["value"]["measured"] == 0.5
    assert found["metrics"]["ttft_s"]["n"]["measured"] == 1


def test_each_tier_has_its_own_slo() -> None:
    rows = [ok(0, 0, 2 * S, 3 * S, tier="free"), ok(1, 0, 2 * S, 3 * S, tier="pro")]
    found = summarise(log(*rows), {"pro": Slo(ttft_s=1), "*": Slo(ttft_s=3)})
    assert found["metrics"]["slo_attainment_frac"]["value"]["measured"] == 0.5


@pytest.mark.parametrize(("n", "p95", "p99"), [(59, False, False), (60, True, False), (300, True, True)])
def test_a_percentile_needs_three_values_beyond_it(n: int, p95: bool, p99: bool) -> None:
    found = metrics.describe(np.arange(float(n)))
    assert (found["p95"] is not None) == p95
    assert (found["p99"] is not None) == p99


def test_gaps_never_join_two_answers() -> None:
    made = log(ok(0, 0, 1, 3, chunk_ns=(S, 2 * S, 4 * S)), ok(1, 0, 1, 3, chunk_ns=(9 * S, 10 * S)))
    assert sorted(values(made, "gap_s").tolist()) == [1, 1, 2]
    assert values(made, "stall_s").tolist() == [2, 1]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.booleans()), max_size=20))
def test_laws(parts: list[tuple[int, int, int, bool]]) -> None:
    rows = [
        ok(i, a, a + b, a + b + c) if good else Row(request_id=f"r{i}", outcome="timeout", sent_ns=a, end_ns=a + 1)
        for i, (a, b, c, good) in enumerate(parts)
    ]
    made = log(*rows)
    assert (values(made, "e2e_s") >= values(made, "ttft_s")).all()
    found = summarise(made, {"*": Slo(e2e_s=1e-9)})
    json.dumps(found, allow_nan=False)
    assert sum(found["outcomes"].values()) == len(parts)
    rate, goodput = (found["metrics"][k]["value"]["measured"] for k in ("request_rate_rps", "goodput_rps"))
    assert rate is None or goodput <= rate
    loose = summarise(made, {"*": Slo(e2e_s=1.0)})["metrics"]["goodput_rps"]["value"]["measured"]
    assert goodput is None or goodput <= loose, "a looser SLO never lowers goodput"


def test_declared_once_with_axis_and_formula() -> None:
    assert METRICS["ttft_s"].axis == "time to first token (s)"
    assert all(metric.formula and metric.label for metric in METRICS.values())
    with pytest.raises(KeyError, match="metric of a run"):
        values(log(), "goodput_rps")
