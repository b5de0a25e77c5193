"""Sessions in the simulator: a turn comes when the one before it has ended and the thinking is done, in every mode."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sims.result import SimResult
from sims.rules import VllmRules
from sims.run import simulate
from sims.saturation import arrival_rps
from tests.sims.timing import Linear
from workbench.config import validate
from workbench.runlog.schema import Planned, chains
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec

RULES: dict[str, Any] = {"max_num_seqs": 3, "max_num_batched_tokens": 64, "kv_blocks": 60, "block_tok": 16,
                         "prefix_caching": True}


def schedule(seed: int, *, closed: bool, rate: float = 40_000.0, **changed: Any) -> tuple[Planned, ...]:
    arrivals = {"kind": "closed"} if closed else {"kind": "poisson", "rate_per_s": rate}
    return draw(validate(WorkloadSpec, {
        "requests": 25, "arrivals": arrivals, "sessions": {"turns": [1, 2, 4], "think_s": 2e-5},
        "prompt_tok": {"kind": "lognormal", "mean_tok": 30, "sigma": 0.7, "max_tok": 90},
        "output_tok": {"kind": "lognormal", "mean_tok": 12, "sigma": 0.7, "max_tok": 40},
    } | changed, "t"), seed)


def played(plans: tuple[Planned, ...], mode: Any, concurrency: int | None = None, **rules: Any) -> SimResult:
    return simulate(plans, Linear(), VllmRules(**(RULES | rules)), concurrency=concurrency, mode=mode)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.booleans(), st.sampled_from([60, 400]))
def test_turns_follow_answers_and_all_three_modes_agree(seed: int, closed: bool, kv_blocks: int) -> None:
    plans, places = schedule(seed, closed=closed), 2 if closed else None
    found = played(plans, "oracle", places, kv_blocks=kv_blocks)
    rows = found.log.rows()
    assert {row.outcome for row in rows} == {"ok"}
    spans = []
    for chain in chains(plans):
        for before, i in pairwise(chain):
            assert rows[i].sent_ns == rows[i].intended_ns == (rows[before].end_ns or 0) + plans[i].think_ns
        spans.append((rows[chain[0]].sent_ns or 0, 1))
        spans.append((rows[chain[-1]].end_ns or 0, -1))
        assert rows[chain[0]].intended_ns == plans[chain[0]].intended_ns
    inside = 0
    for _, step in sorted(spans):  # where one ends and one begins at once, the end comes first
        inside += step
        assert not closed or inside <= 2
    for mode in ("macro", "iteration"):
        assert played(plans, mode, places, kv_blocks=kv_blocks).log.table.equals(found.log.table)


def test_one_session_by_hand_finds_its_earlier_prompt_and_nothing_of_the_answer() -> None:
    """Prompts 40, 40 + 5 + 40 = 85 and 130; blocks of 16: 32 tokens of the first are found, then 80 of the second."""
    plans = schedule(1, closed=False, requests=3, sessions={"turns": [3], "think_s": 1e-3, "think_cv": 0},
                     prompt_tok={"kind": "fixed", "tok": 40}, output_tok={"kind": "fixed", "tok": 5})
    rows = played(plans, "macro", max_num_batched_tokens=256).log.rows()
    assert [row.prompt_tok for row in rows] == [40, 85, 130]
    assert [row.cached_tok for row in rows] == [0, 32, 80]
    for row, new in zip(rows, (40, 85 - 32, 130 - 80), strict=True):  # a step 1000 ns, a prompt token 10, a decode 100
        assert (row.end_ns or 0) - (row.sent_ns or 0) == 1000 + 10 * new + 4 * 1100
    assert rows[1].sent_ns == (rows[0].end_ns or 0) + 1_000_000


@pytest.mark.parametrize("closed", [False, True])
def test_after_a_turn_that_is_refused_its_session_is_over_and_the_others_go_on(closed: bool) -> None:
    plans = schedule(3, closed=closed, sessions={"turns": [4], "think_s": 0.0}, requests=12)
    most = sorted(i.asked_prompt_tok + i.asked_output_tok for i in plans)[6]
    log = played(plans, "macro", 1 if closed else None, max_model_len_tok=most).log
    rows = log.rows()
    for chain in chains(plans):
        outcomes = [rows[i].outcome for i in chain]
        good = outcomes.count("ok")
        assert outcomes == (["ok"] * good + ["rejected"] + ["cancelled"] * 4)[:4]
        for i in chain[good + 1 :]:
            assert rows[i].sent_ns is None
            assert rows[i].error == f"not sent: turn {plans[chain[good]].request_id} of its session was rejected"
    assert sum(log.outcomes().values()) == 12
    assert log.outcomes()["cancelled"] > 0


def test_a_horizon_in_a_pause_ends_the_run_there() -> None:
    plans = schedule(1, closed=False, requests=2, sessions={"turns": [2], "think_s": 1.0, "think_cv": 0})
    found = simulate(plans, Linear(), VllmRules(**RULES), horizon_ns=500_000_000)
    assert (found.stop_ns, [row.outcome for row in found.log.rows()]) == (500_000_000, ["ok", "unfinished"])


def test_requests_per_second_of_sessions_count_their_turns() -> None:
    plans = schedule(1, closed=False, sessions={"turns": [5], "think_s": 1.0})
    begins = [item.intended_ns or 0 for item in plans if not item.after]
    assert arrival_rps(plans) == pytest.approx(5 * (len(begins) - 1) * 1e9 / (begins[-1] - begins[0]))
