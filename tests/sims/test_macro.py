"""The macro-step replica equals the oracle: every time, count and token, on random cases and under broken jumps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sims.macro.blocks import Blocks
from sims.macro.sequence import Seq
from sims.macro.station import MacroStation
from sims.overheads import Overheads
from sims.replica import IterationTime
from sims.result import SimResult
from sims.rules import LlamaCppRules, Rules, VllmRules
from sims.run import simulate
from tests.sims.timing import Linear, Timed
from workbench.errors import Failure
from workbench.profile.batch import Batch
from workbench.profile.decode_run import DecodeLine
from workbench.profile.model import Linear as LinearModel
from workbench.profile.model import Table
from workbench.profile.profile import Profile
from workbench.runlog.schema import Planned


@dataclass(frozen=True)
class Skewed:
    """Reads the longest and shortest context, so it has no closed form; may offer many times at once."""

    def iteration_ns(self, batch: Batch) -> int:
        return (900 + 11 * batch.prefill_tok + 70 * batch.decode_n + 3 * batch.decode_ctx_max_tok
                + batch.decode_ctx_sum_tok // 7 - 2 * batch.decode_ctx_min_tok)


class Vector(Skewed):
    def mixed_ns(
        self, prefills: Sequence[tuple[int, int]], decode_n: int, ctx_sum: int, ctx_max: int, ctx_min: int
    ) -> int:
        return self.iteration_ns(Batch(tuple(prefills), decode_n, ctx_sum, ctx_max, ctx_min))

    def decode_times_ns(self, decode_n: int, ctx_sum: int, ctx_max: int, ctx_min: int, k: int) -> NDArray[np.int64]:
        batches = [Batch((), decode_n, ctx_sum + i * decode_n, ctx_max + i, ctx_min + i) for i in range(k)]
        return np.array([self.iteration_ns(batch) for batch in batches], dtype=np.int64)


class Short(Linear):
    """A closed form that holds for three iterations only."""

    def decode_line(self, decode_n: int, ctx_sum: int, ctx_max: int = 0, ctx_min: int = 0) -> DecodeLine:
        first_ns = self.step_ns + self.decode_ns * decode_n + self.ctx_ns * ctx_sum
        return DecodeLine(first_ns * 10**6, self.ctx_ns * decode_n * 10**6, 3)


LINEAR = Profile(source="roofline", model=LinearModel(coefficients_fs={
    "step": 900_123_457, "prefill_tok": 9_000_001, "decode_n": 71_000_333, "decode_ctx_sum_tok": 1_234_567}))
TABLE = Profile(source="roofline", model=Table(
    decode_n=(1, 2, 5), step_fs=(800_000_000, 990_000_001, 1_400_000_000),
    slopes_fs={"prefill_tok": 7_700_001, "decode_ctx_sum_tok": 400_009, "prefill_attended_tok": 11_111}))
TIMINGS: tuple[IterationTime, ...] = (
    LINEAR, TABLE, Skewed(), Vector(), Short(ctx_ns=2), Timed(lambda _: 1_000), Profile(
        source="roofline", model=LinearModel(coefficients_fs={"step": 10**9})))

# (arrival, prompt, output, prefix group): many at one instant, on the grid of a 1,000 ns step, and anywhere
JOBS = st.lists(
    st.tuples(st.sampled_from([0, 0, 1_000, 4_000, 9_000]) | st.integers(0, 30_000), st.integers(1, 150),
              st.integers(1, 90), st.integers(0, 3)), min_size=1, max_size=25)


def _rules(kv_tok: int, block_tok: int, seqs: int, budget: int, caching: bool, reserve: bool) -> VllmRules:
    return VllmRules(kv_blocks=kv_tok // block_tok, block_tok=block_tok, max_num_seqs=seqs, prefix_caching=caching,
                     max_num_batched_tokens=budget, reserve_full_prompt=reserve)


RULES = st.builds(
    _rules, st.integers(100, 400) | st.just(100_000), st.sampled_from([1, 4, 16]), st.integers(1, 6),
    st.integers(6, 90) | st.integers(1, 400), st.booleans(), st.booleans())


def planned(jobs: Sequence[tuple[int, int, int, int]]) -> list[Planned]:
    """Requests of one prefix group share the ids of their blocks of 4 tokens; every second states its last, partial
    block as well, as some traces do."""
    return [
        Planned(f"r{i:03d}", at, prompt, output,
                prefix_ids=tuple(1_000 * group + k for k in range((prompt + i % 2 * 3) // 4)) if group else (),
                prefix_tok=4)
        for i, (at, prompt, output, group) in enumerate(jobs)
    ]


@dataclass(frozen=True)
class Case:
    """One run's settings, but for the mode."""

    jobs: list[tuple[int, int, int, int]]
    rules: Rules
    timing: IterationTime
    replicas: int = 1
    router: str = "least_loaded"
    window: int | None = None
    horizon_ns: int | None = None
    concurrency: int | None = None
    overheads: Overheads = Overheads()

    def run(self, mode: str) -> SimResult:
        return simulate(
            planned(self.jobs), self.timing, self.rules, replicas=self.replicas, router=self.router,
            window=self.window, horizon_ns=self.horizon_ns, concurrency=self.concurrency, overheads=self.overheads,
            price_usd_per_hour=2.0, mode=mode)  # type: ignore[arg-type]

    def differs(self, mode: str = "macro") -> str | None:
        """The first thing in which this mode and the oracle disagree."""
        fast, oracle = self.run(mode), self.run("oracle")
        for name in ("stop_ns", "iterations", "preemptions", "busy_ns", "sequences", "area_ns"):
            if getattr(fast, name) != getattr(oracle, name):
                return f"{name}: {getattr(fast, name)} != {getattr(oracle, name)}"
        for one, other in zip(fast.log.rows(), oracle.log.rows(), strict=True):
            if one != other:
                return f"{one} != {other}"
        return None if fast.journal == oracle.journal else "journal"


CASES = st.builds(
    Case, JOBS, RULES, st.sampled_from(TIMINGS), replicas=st.integers(1, 3),
    router=st.sampled_from(["least_loaded", "round_robin"]), window=st.sampled_from([None, None, 1, 4]),
    horizon_ns=st.sampled_from([None, None, 9_000, 40_000]), concurrency=st.sampled_from([None, None, 3]),
    overheads=st.sampled_from([Overheads(), Overheads(), Overheads(130, 70, 40), Overheads(out_ns=1_000)]),
)


@given(CASES)
@settings(max_examples=100)
def test_macro_steps_equal_the_oracle(case: Case) -> None:
    assert case.differs() is None


@given(CASES)
@settings(max_examples=1_000)
@pytest.mark.slow
def test_macro_steps_equal_the_oracle_on_many_cases(case: Case) -> None:
    assert case.differs() is None
    assert case.differs("iteration") is None


def broken(patch: pytest.MonkeyPatch, name: str) -> None:
    """One fault in the jump, each of a kind that a careless change would bring."""
    if name == "arrivals do not cut a jump":
        patch.setattr(MacroStation, "_cut", lambda self: None)
    elif name == "a cut is one iteration late":
        whole = DecodeLine.reach
        patch.setattr(DecodeLine, "reach", lambda self, after_ns: min(self.steps, whole(self, after_ns) + 1))
    elif name == "blocks never run short":
        patch.setattr(Blocks, "prepare", lambda self: None)
    elif name == "a jump beyond the blocks":
        patch.setattr(Blocks, "spare_iterations", lambda self, n: 10_000)
    elif name == "decodes hold no more blocks than their prompt":
        patch.setattr(Blocks, "grow_decodes", lambda self, more_tok: True)
    elif name == "who leaves still counts as context":
        whole_finish = MacroStation._finish

        def finish(self: MacroStation) -> list[int]:
            before = self.ctx_sum
            found = whole_finish(self)
            self.ctx_sum = before
            return found

        patch.setattr(MacroStation, "_finish", finish)
    elif name == "a span that begins a token late":
        whole_join = MacroStation.join

        def join(self: MacroStation, seq: Seq, end_ns: int) -> None:
            whole_join(self, seq, end_ns)
            seq.first += 1

        patch.setattr(MacroStation, "join", join)


@pytest.mark.parametrize("name", [
    "arrivals do not cut a jump", "a cut is one iteration late", "blocks never run short", "a jump beyond the blocks",
    "decodes hold no more blocks than their prompt", "who leaves still counts as context",
    "a span that begins a token late"])
def test_mutant_a_broken_jump_does_not_equal_the_oracle(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three full replicas' worth of overlapping requests, with and without room for them."""
    jobs = [(i * 2_900, 30 + 13 * i % 90, 20 + 17 * i % 60, i % 3) for i in range(24)]
    cases = [
        Case(jobs, VllmRules(kv_blocks=blocks, block_tok=4, max_num_seqs=5, max_num_batched_tokens=40,
                             reserve_full_prompt=False, prefix_caching=caching), LINEAR, replicas=2)
        for blocks in (60, 10_000) for caching in (False, True)
    ]
    assert [case.differs() for case in cases] == [None] * 4
    assert cases[0].run("macro").preemptions > 0
    broken(monkeypatch, name)
    assert any(_fails(case) for case in cases)


def _fails(case: Case) -> bool:
    try:
        return case.differs() is not None
    except (Failure, AssertionError, IndexError, ValueError):  # noticed by a law or an invariant
        return True


def test_the_result_says_what_ran() -> None:
    jobs = [(0, 10, 5, 0), (500, 20, 9, 0)]
    rules = VllmRules(kv_blocks=100)
    for timing, mode in ((LINEAR, "macro"), (Vector(), "macro"), (Skewed(), "iteration")):
        assert Case(jobs, rules, timing).run("macro").mode == mode
    assert Case(jobs, rules, LINEAR).run("iteration").mode == "iteration"
    static = Case(jobs, replace(rules, batching="static"), LINEAR).run("macro")
    assert (static.mode, static.why) == ("oracle", "not every running request gains one token an iteration: batching")
    assert "slot id" in (Case(jobs, LlamaCppRules(), LINEAR).run("macro").why or "")
