"""The plane's macro-step station equals the oracle: rows, chunk times, money and the journal, whatever breaks."""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sims.macro.sequence import Seq
from sims.overheads import Overheads
from sims.plane import tokens
from sims.plane.failures import Failure
from sims.plane.jumping import JumpingStation
from sims.plane.run import PlaneResult, simulate_plane
from sims.replica import IterationTime
from sims.rules import LlamaCppRules, Rules, VllmRules
from tests.sims.test_macro import LINEAR, TABLE, Short, Skewed, Vector
from tests.sims.timing import Timed
from workbench.control.plane.events import Arrived, Report
from workbench.metrics import summarise
from workbench.runlog.schema import Planned

TIMINGS: tuple[IterationTime, ...] = (LINEAR, TABLE, Skewed(), Vector(), Short(ctx_ns=2), Timed(lambda _: 1_000))
NODES = {"n": 1, "m": 1, "o": 1}
PRICES = [{"model": "*", "kind": kind, "flat": 7} for kind in ("input", "output")]
FACTS: tuple[dict[str, Any], ...] = (
    {},
    {"window": 2, "routing": "round_robin"},
    {"window": 3, "retries": {"wait_ns": 2_000, "burst": 50}, "queue": {"limit": 6}, "routing": "power_of_choices"},
    {"window": 1, "scheduling": {"name": "edf", "parameters": {"preempt": True}}},
    {"window": 4, "routing": {"name": "pipeline", "parameters": {
        "parts": [{"name": "reported", "weight": 2}, {"name": "kv_room"}], "choices": 2}}},
    {"window": 6, "hedging": {"quantile_ppm": 400_000, "share_ppm": 900_000, "window": 20, "least_seen": 2}},
    {"window": 3, "cluster": {"nodes": NODES, "dead_after_ns": 6_000, "probation_ns": 4_000},
     "retries": {"wait_ns": 1_000, "burst": 50}},
    {"window": 3, "replicas": [{}, {}, {"started": False}], "autoscale": {
        "every_ns": 5_000, "least": 1, "most": 3, "in_ns": 9_000,
        "policy": {"name": "concurrency", "parameters": {"target": 2, "stable_ns": 10_000}}}},
    {"cache": {"capacity_bytes": 3_000, "ttl_ns": 60_000}, "retries": {}, "billing": {"prices": PRICES},
     "breaker": {"failures": 2, "window": 4, "open_ns": 9_000}},
)
FAILURES = (
    (), (Failure(20_000, 0, 9_000),), (Failure(30_000, 0, 15_000), Failure(41_000, 1, 500)),
    (Failure(25_000, "n", 14_000, "partition"),), (Failure(15_000, 0, 20_000, "spot", 8_000),),
    (Failure(25_000, "n", 14_000, "node"), Failure(50_000, "n", 1, "node")),
)


@dataclass(frozen=True)
class Case:
    """One run's settings, but for the mode."""

    seed: int
    n: int
    rules: Rules
    timing: IterationTime
    facts: dict[str, Any] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    patience_ns: int | None = None
    report_ns: int | None = None
    horizon_ns: int | None = None
    overheads: Overheads = Overheads()
    gap_ns: int = 2_000

    def run(self, mode: str, **more: Any) -> PlaneResult:
        plans, told = drawn(self.seed, self.n, self.gap_ns)
        return simulate_plane(
            plans, self.timing, self.rules, {"replicas": 2, **self.facts}, arrival=lambda plan: told[plan.request_id],  # type: ignore[arg-type]
            failures=self.failures, patience_ns=self.patience_ns, report_ns=self.report_ns, overheads=self.overheads,
            horizon_ns=self.horizon_ns, price_usd_per_hour=2.0, checked=True, start_ns=700,
            nodes=None if "cluster" in self.facts else {0: "n", 1: "m"}, heartbeat_ns=1_500, mode=mode, **more)  # type: ignore[arg-type]

    def differs(self, mode: str = "macro") -> str | None:
        """The first thing in which this mode and the oracle disagree."""
        return differs(self.run(mode), self.run("oracle"))


def differs(fast: PlaneResult, oracle: PlaneResult) -> str | None:
    assert fast.journal is not None
    assert oracle.journal is not None
    for one, other in zip(fast.journal.lines(), oracle.journal.lines(), strict=False):
        if one != other:
            return f"journal: {one} != {other}"
    for one_row, other_row in zip(fast.log.rows(), oracle.log.rows(), strict=True):
        if one_row != other_row:
            return f"{one_row} != {other_row}"
    for name in ("stop_ns", "iterations", "preemptions", "busy_ns", "replica_ns"):
        if getattr(fast, name) != getattr(oracle, name):
            return f"{name}: {getattr(fast, name)} != {getattr(oracle, name)}"
    return None if len(fast.journal.entries) == len(oracle.journal.entries) else "journal's length"


def drawn(seed: int, n: int, gap_ns: int) -> tuple[list[Planned], dict[str, Arrived]]:
    rng, at_ns, plans, told = Random(seed), 0, list[Planned](), dict[str, Arrived]()
    for i in range(n):
        at_ns += rng.choice([0, 0, 1_000, rng.randint(0, 2 * gap_ns), 3 * gap_ns])
        prompt, output, group = rng.randint(1, 150), rng.randint(1, 60), rng.randint(0, 3)
        ids = tuple(1_000 * group + k for k in range((prompt + i % 2 * 3) // 4)) if group else ()
        plans.append(Planned(f"r{i}", at_ns, prompt, output, prefix_ids=ids, prefix_tok=4 if ids else 0))
        told[f"r{i}"] = Arrived(
            f"r{i}", prompt_tok=prompt, estimated_tok=20, max_tok=60, prefix_ids=ids,
            deadline_ns=rng.choice([None, at_ns + rng.randint(5_000, 90_000)]),
            cache=rng.choice(["", "", f"q{rng.randint(0, 3)}"]))
    return plans, told


def _rules(kv_tok: int, block_tok: int, seqs: int, budget: int, caching: bool, reserve: bool) -> VllmRules:
    return VllmRules(kv_blocks=kv_tok // block_tok, block_tok=block_tok, max_num_seqs=seqs, prefix_caching=caching,
                     max_num_batched_tokens=budget, reserve_full_prompt=reserve)


RULES = st.builds(
    _rules, st.integers(220, 500) | st.just(100_000), st.sampled_from([1, 4, 16]), st.integers(1, 6),
    st.integers(6, 90) | st.integers(1, 400), st.booleans(), st.booleans())
CASES = st.builds(
    Case, st.integers(0, 10**6), st.integers(1, 30), RULES, st.sampled_from(TIMINGS), st.sampled_from(FACTS),
    st.sampled_from(FAILURES), st.sampled_from([None, 9_000, 40_000]), st.sampled_from([None, 1_000, 3_700]),
    st.sampled_from([None, None, 44_000]),
    st.sampled_from([Overheads(), Overheads(), Overheads(130, 70, 40), Overheads(out_ns=1_000)]),
    st.sampled_from([500, 4_000]))


@given(CASES)
@settings(max_examples=60)
def test_jumps_under_the_plane_equal_the_oracle(case: Case) -> None:
    assert case.differs() is None


@given(CASES)
@settings(max_examples=500)
@pytest.mark.slow
def test_jumps_under_the_plane_equal_the_oracle_on_many_cases(case: Case) -> None:
    assert case.differs() is None
    assert case.differs("iteration") is None


@pytest.mark.parametrize("mode", ["macro", "oracle"])
@pytest.mark.parametrize("failures", [FAILURES[2], FAILURES[4], (*FAILURES[3], Failure(33_000, 0, 2_000))])
def test_a_broken_off_answer_costs_what_its_client_saw(mode: str, failures: tuple[Failure, ...]) -> None:
    found = Case(5, 30, _rules(40_000, 4, 6, 90, False, False), LINEAR, FACTS[8], failures).run(mode)
    broken = [row for row in found.log.rows() if row.outcome == "error" and row.output_tok]
    assert max(row.output_tok or 0 for row in broken) > 3
    assert [row.price_pusd for row in broken] == [7 * (row.asked_prompt_tok + (row.output_tok or 0)) for row in broken]


def broken(patch: pytest.MonkeyPatch, name: str) -> None:
    """One fault in the station, each of a kind that a careless change would bring."""
    if name == "who is lost keeps its tokens to come":
        patch.setattr(JumpingStation, "_close", lambda self, seq: None)
    elif name == "blocks of who finishes are given back late":
        patch.setattr(JumpingStation, "_let_go", lambda self, counter=None: None)
    elif name == "a report of when the jump began":
        patch.setattr(JumpingStation, "report", lambda self: Report(
            self.number, self.env._now, len(self.queue), len(self.heap) + (self.filling is not None),
            self._used(self.counter, over=False) * 1_000_000 // self.blocks.rules.kv_blocks))
    elif name == "first tokens are not told":
        whole = JumpingStation.join

        def join(self: JumpingStation, seq: Seq, end_ns: int) -> None:
            whole(self, seq, end_ns)
            self._joined[-1] = (seq.index, 0)
        patch.setattr(JumpingStation, "join", join)
    elif name == "what was said behind a cut network is seen when it was said":
        patch.setattr(tokens, "_late", lambda pieces, from_ns, until_ns: pieces)


@pytest.mark.parametrize("name", [
    "who is lost keeps its tokens to come",
    "blocks of who finishes are given back late", "a report of when the jump began", "first tokens are not told",
    "what was said behind a cut network is seen when it was said"])
def test_mutant_a_broken_station_does_not_equal_the_oracle(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [_rules(kv_tok, 4, 5, 40, caching, False) for kv_tok in (240, 40_000) for caching in (False, True)]
    cases = [Case(3, 30, one, LINEAR, facts, failures, 14_000, 1_000, None, Overheads(), 1_500)
             for one in rules for facts, failures in ((FACTS[3], FAILURES[3]), (FACTS[4], FAILURES[1]))]
    assert [case.differs() for case in cases] == [None] * len(cases)
    broken(monkeypatch, name)
    assert any(_fails(case) for case in cases)


def _fails(case: Case) -> bool:
    try:
        return case.differs() is not None
    except (AssertionError, IndexError, KeyError, ValueError, RuntimeError):  # noticed by an invariant
        return True


def test_the_result_says_what_ran_and_why() -> None:
    rules = VllmRules(kv_blocks=1_000)
    for timing, mode in ((LINEAR, "macro"), (Skewed(), "iteration")):
        found = Case(1, 3, rules, timing).run("macro")
        assert (found.mode, found.why) == (mode, None)
    found = Case(1, 3, LlamaCppRules(), LINEAR).run("macro")
    assert found.mode == "oracle"
    assert "slot id" in (found.why or "")
    assert Case(1, 3, rules, LINEAR).run("oracle").why == "asked for"


def test_a_large_log_keeps_segments_that_say_the_same_as_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken off, answered at once, behind a cut network, on the way back when its client left."""
    rules, facts = _rules(40_000, 4, 5, 40, True, False), {**FACTS[8], "window": 3}
    case = Case(7, 60, rules, LINEAR, facts, FAILURES[3], 9_000, None, 60_000, Overheads(130, 700, 40), 800)
    lists = case.run("macro").log
    monkeypatch.setattr(tokens, "LISTS_UP_TO", 10)
    large = case.run("macro").log
    assert large.segments is not None
    assert large.segments.faults() is None
    assert lists.segments is None
    for one, other in zip(lists.rows(), large.rows(), strict=True):
        assert replace(one, chunk_tok=None) == replace(other, chunk_tok=None)
    outcomes = lists.outcomes()
    assert {"ok", "cancelled", "unfinished"} <= set(outcomes)
    assert max(tok for row in lists.rows() for tok in row.chunk_tok or ()) > 1
    for name in ("tpot_s", "ttft_s", "stall_s"):
        assert summarise(lists)["metrics"][name]["mean"] == pytest.approx(summarise(large)["metrics"][name]["mean"])
