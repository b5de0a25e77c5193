"""The jumping station alone, against the oracle's: cancelled and failed at any time, also amid an answer."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sims.clock import Clock, Turn
from sims.overheads import Overheads
from sims.plane.attempts import Attempts
from sims.plane.fleet import collect
from sims.plane.jumping import JumpingStation
from sims.plane.machines import FAILURES, REPORTS
from sims.plane.station import Out, PlaneStation, StationLike
from sims.record import NEVER
from sims.replica import IterationTime
from sims.rules import VllmRules
from tests.sims.test_macro import LINEAR, Skewed, Vector
from tests.sims.timing import Timed
from workbench.runlog.schema import Planned

STEP = Timed(lambda _: 1_000)  # every iteration ends on the grid on which things happen


def played(kind: type[Any], seed: int, rules: VllmRules, timing: IterationTime, overheads: Overheads) -> list[object]:
    """Everything that one can see of it."""
    rng, clock, attempts, said = Random(seed), Clock(), Attempts(), list[object]()
    plans = [Planned(f"r{i}", 0, rng.randint(1, 90), rng.randint(1, 60), prefix_tok=4,
                     prefix_ids=tuple(1_000 * rng.randint(1, 3) + k for k in range(12)) if rng.random() < 0.6 else ())
             for i in range(25)]

    def seen(_: StationLike, out: Out) -> None:
        for place, bits in out:
            if attempts.over_ns[place] == NEVER:
                said.append((clock.now_ns, place, bits))
                shown.add(place)
                if bits & 2:
                    attempts.over_ns[place] = clock.now_ns
    station, shown = kind(clock, 2, rules, timing, overheads, attempts, seen), set[int]()

    def submit(plan: Planned) -> None:
        if station.up:
            place = attempts.add(plan, len(attempts), 1, 2, 0, clock.now_ns)
            if station.submit(place) is not None:
                attempts.over_ns[place] = clock.now_ns

    def cancel(number: int) -> None:
        live = [place for place in range(len(attempts)) if attempts.over_ns[place] == NEVER]
        if live:
            place = live[number % len(live)]
            attempts.over_ns[place] = attempts.broken_ns[place] = clock.now_ns
            station.cancel(place)

    def fail() -> None:
        for place in station.fail():
            if attempts.over_ns[place] == NEVER:
                attempts.over_ns[place] = attempts.broken_ns[place] = clock.now_ns
                said.append((clock.now_ns, "lost", place))

    def back() -> None:
        station.up = True

    at_ns = 0
    for plan in plans:
        at_ns += rng.choice([0, 1_000, 5_000, rng.randint(0, 9_000)])
        clock.at(at_ns, Turn.ARRIVE, lambda plan=plan: submit(plan))  # type: ignore[misc]
    for _ in range(14):
        turn, lane = rng.choice([(Turn.ARRIVE, 0), (Turn.END, 0), (Turn.END, 7), (Turn.END, FAILURES)])
        when_ns = rng.choice([rng.randint(0, 120) * 1_000, rng.randint(0, 120_000)])
        clock.at(when_ns, turn, lambda number=rng.randint(0, 99): cancel(number), lane)  # type: ignore[misc]
    for _ in range(rng.choice([0, 1, 2])):
        when_ns = rng.randint(10, 90) * 1_000
        clock.at(when_ns, Turn.END, fail, FAILURES)
        clock.at(when_ns + rng.choice([1, 3_000]), Turn.END, back, FAILURES)
    for i in range(120):
        clock.at(i * 1_000 + 13 * i, Turn.END, lambda: said.append(station.report()), REPORTS)
    clock.run(130_000)
    for place in range(len(attempts)):
        if attempts.over_ns[place] == NEVER:
            attempts.broken_ns[place] = 130_001
    station.settle(130_000)
    tokens = collect([station], len(attempts), attempts,
                     [place if place in shown else NEVER for place in range(len(attempts))], (), (), overheads.out_ns)
    return [*said, *zip(*tokens.seen(), strict=True), station.iterations, station.preemptions, station.busy_ns(130_000),
            list(attempts.start_ns), list(attempts.cached_tok), list(attempts.preemptions)]


def _rules(kv_tok: int, block_tok: int, seqs: int, budget: int, caching: bool) -> VllmRules:
    return VllmRules(kv_blocks=kv_tok // block_tok, block_tok=block_tok, max_num_seqs=seqs, prefix_caching=caching,
                     max_num_batched_tokens=budget, reserve_full_prompt=False)


CASES = st.tuples(
    st.integers(0, 10**6), st.builds(_rules, st.integers(160, 400) | st.just(10_000), st.sampled_from([1, 4, 16]),
                                     st.integers(1, 6), st.integers(6, 90), st.booleans()),
    st.sampled_from([LINEAR, STEP, Vector(), Skewed()]),
    st.sampled_from([Overheads(), Overheads(0, 70, 40), Overheads(out_ns=1_000)]))


def _same(seed: int, rules: VllmRules, timing: IterationTime, overheads: Overheads) -> None:
    one, other = (played(kind, seed, rules, timing, overheads) for kind in (JumpingStation, PlaneStation))
    for mine, its in zip(one, other, strict=False):
        assert mine == its
    assert len(one) == len(other)


@given(CASES)
@settings(max_examples=80)
def test_whoever_is_cancelled_and_whenever_it_fails(case: tuple[int, VllmRules, IterationTime, Overheads]) -> None:
    _same(*case)


@given(CASES)
@settings(max_examples=2_000)
@pytest.mark.slow
def test_whoever_is_cancelled_and_whenever_it_fails_in_many_cases(
    case: tuple[int, VllmRules, IterationTime, Overheads]
) -> None:
    _same(*case)


@pytest.mark.parametrize("name", ["_hold", "_close", "_let_go"])
def test_mutant_a_cancel_that_leaves_something_behind(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The jump goes on, tokens are not written down, blocks are given back late."""
    monkeypatch.setattr(JumpingStation, name, lambda self, *_: None)
    assert any(_fails(seed) for seed in range(40))


def _fails(seed: int) -> bool:
    try:
        _same(seed, _rules(400, 4, 5, 60, seed % 2 == 0), LINEAR, Overheads())
    except (AssertionError, IndexError, KeyError, ValueError):  # noticed by an invariant
        return True
    return False
