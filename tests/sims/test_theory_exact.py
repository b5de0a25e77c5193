"""Queueing disciplines by sample path, with ==: the simulator against recursions that know nothing of it."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.rules import VllmRules
from sims.run import simulate
from tests.sims.oracles import kiefer_wolfowitz, lindley
from tests.sims.paths import by_rank, processor_sharing
from tests.sims.timing import Timed
from workbench.control.queues import ShortestFirst
from workbench.profile.decode_run import DecodeLine
from workbench.runlog.schema import Planned

BLOCKS = 10**6
UNIT_NS = 70
ONE = VllmRules(max_num_seqs=1, max_num_batched_tokens=10**6, kv_blocks=BLOCKS)
MANY = VllmRules(max_num_seqs=1_000, max_num_batched_tokens=10**6, kv_blocks=BLOCKS)
JOBS = st.lists(st.tuples(st.integers(0, 9_000) | st.integers(0, 9).map(lambda n: n * 1_000), st.integers(1, 3_000)),
                min_size=1, max_size=30).map(sorted)
MODES = st.sampled_from(("macro", "oracle"))  # both implementations of the replica
WORK = Timed(lambda batch: batch.prefill_tok)  # a request of one output token: its prompt is its service, in ns


@dataclass(frozen=True)
class Sharing:
    """A step takes as long as it serves requests; `short` of them are forgotten by the broken twin."""

    unit_ns: int = UNIT_NS
    short: int = 0

    def iteration_ns(self, batch: Any) -> int:
        return max(1, self.unit_ns * (batch.decode_n + len(batch.prefills) - self.short))

    def decode_line(self, decode_n: int, ctx_sum_tok: int, ctx_max_tok: int = 0, ctx_min_tok: int = 0) -> DecodeLine:
        return DecodeLine(max(1, self.unit_ns * (decode_n - self.short)) * 10**6, 0, 10**9)


def served(jobs: list[tuple[int, int]], rules: VllmRules = ONE, **fleet: Any) -> list[int]:
    """Departures of one-iteration requests of (arrival, service)."""
    schedule = [Planned(f"r{i:03d}", at, service, 1) for i, (at, service) in enumerate(jobs)]
    return [row.end_ns or 0 for row in simulate(schedule, WORK, rules, **fleet).log.rows()]


def shared(jobs: list[tuple[int, int]], timing: Any, **options: Any) -> list[int]:
    """Departures of requests of (arrival, output tokens) with a prompt of one token."""
    schedule = [Planned(f"r{i:03d}", at, 1, tokens) for i, (at, tokens) in enumerate(jobs)]
    return [row.end_ns or 0 for row in simulate(schedule, timing, MANY, **options).log.rows()]


def times(jobs: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    return [at for at, _ in jobs], [service for _, service in jobs]


@given(JOBS, st.integers(1, 500), MODES)
def test_one_seat_is_lindley(jobs: list[tuple[int, int]], chunk_tok: int, mode: str) -> None:
    """Whatever the chunks: a prompt in pieces takes the sum of its pieces."""
    rules = VllmRules(max_num_seqs=1, max_num_batched_tokens=chunk_tok, kv_blocks=BLOCKS)
    assert served(jobs, rules, mode=mode) == lindley(*times(jobs))


@given(JOBS, st.integers(1, 5), MODES)
def test_replicas_behind_one_queue_are_kiefer_wolfowitz(
    jobs: list[tuple[int, int]], replicas: int, mode: str
) -> None:
    found = served(jobs, replicas=replicas, window=1, mode=mode)
    assert found == kiefer_wolfowitz(*times(jobs), replicas)
    assert found == by_rank(*times(jobs), lambda number: number, replicas)


@given(JOBS, st.integers(1, 5))
def test_the_front_door_serves_the_shortest_first(jobs: list[tuple[int, int]], replicas: int) -> None:
    """Its estimate is the length of the prompt: here the very service."""
    found = served(jobs, replicas=replicas, window=1, queue="shortest_first")
    assert found == by_rank(*times(jobs), lambda number: jobs[number][1], replicas)


@given(JOBS.map(lambda jobs: [(at, 1 + service % 40) for at, service in jobs]), MODES)
def test_a_step_as_long_as_its_batch_is_processor_sharing(jobs: list[tuple[int, int]], mode: str) -> None:
    assert shared(jobs, Sharing(), mode=mode) == processor_sharing(*times(jobs), UNIT_NS)


PRIORITIES = st.lists(st.tuples(st.integers(0, 9_000) | st.integers(0, 9).map(lambda n: n * 1_000),
                                st.integers(1, 3_000), st.integers(0, 3)), min_size=1, max_size=30)


def by_priority(jobs: list[tuple[int, int, int]], order: str) -> list[int]:
    rules = VllmRules(max_num_seqs=1, max_num_batched_tokens=10**6, kv_blocks=BLOCKS, order=order)  # type: ignore[arg-type] - one of two words
    schedule = [Planned(f"r{i:03d}", at, service, 1, priority=level) for i, (at, service, level) in enumerate(jobs)]
    return [row.end_ns or 0 for row in simulate(schedule, WORK, rules).log.rows()]


@given(PRIORITIES)
def test_priority_inside_a_replica(jobs: list[tuple[int, int, int]]) -> None:
    """Nobody in service is interrupted; who arrives as a service ends takes part in the choice."""
    jobs = sorted(jobs, key=lambda job: job[0])
    arrivals, services, levels = (list(column) for column in zip(*jobs, strict=True))
    expected = by_rank(arrivals, services, lambda number: levels[number], all_at_once=True)
    assert by_priority(jobs, "priority") == expected


def test_mutant_first_come_first_served_is_no_priority() -> None:
    jobs = [(0, 1_000, 1), (1, 500, 1), (2, 500, 0)]
    assert by_priority(jobs, "priority") == [1_000, 2_000, 1_500] == by_rank(
        [0, 1, 2], [1_000, 500, 500], lambda number: (1, 1, 0)[number])
    assert by_priority(jobs, "fcfs") == [1_000, 1_500, 2_000]


def test_mutant_a_step_that_forgets_one_of_its_batch() -> None:
    jobs = [(0, 9), (100, 3), (260, 5)]
    assert shared(jobs, Sharing()) == processor_sharing(*times(jobs), UNIT_NS)
    assert shared(jobs, Sharing(short=1)) != processor_sharing(*times(jobs), UNIT_NS)


def test_mutant_longest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [(0, 100), (1, 50), (2, 30)]
    shortest = by_rank(*times(jobs), lambda number: jobs[number][1])
    assert served(jobs, window=1, queue="shortest_first") == shortest == [100, 180, 130]
    push = ShortestFirst.push
    monkeypatch.setattr(ShortestFirst, "push", lambda self, now_ns, item: push(
        self, now_ns, type(item)(item.request_id, item.prompt_tok, -item.estimated_tok)))
    assert served(jobs, window=1, queue="shortest_first") != shortest


def test_mutant_two_places_in_a_server_of_one() -> None:
    """A window of two lets the second choose its server before it is free: no longer Kiefer-Wolfowitz."""
    jobs = [(0, 100), (0, 10), (0, 50), (0, 100)]
    assert served(jobs, replicas=2, window=1) == kiefer_wolfowitz(*times(jobs), 2)
    assert served(jobs, replicas=2, window=2) != kiefer_wolfowitz(*times(jobs), 2)


def test_mutant_a_service_one_nanosecond_long() -> None:
    jobs = [(0, 100), (50, 10)]
    assert served([(at, service + 1) for at, service in jobs]) != lindley(*times(jobs))
