"""Orders of one key: what each promises, which of them may take a place back, and what that buys."""

from functools import cache
from itertools import combinations_with_replacement, product

import pytest
from front_server import run
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.request import Waiting
from workbench.control.scheduling.ordered import Ageing, EarliestDeadline, Fifo, ShortestFirst, StrictPriority
from workbench.control.scheduling.protocol import Preemptive

Job = tuple[int, int, int]  # release, length, deadline, in slots
# everything that three jobs can be within a few slots; the deadline is reachable for each job alone
JOBS: list[Job] = [(r, n, d) for r, n in product(range(3), (1, 2)) for d in range(r + n, min(r + n + 3, 7))]
WAITING = st.builds(Waiting, st.just(""), estimated_tok=st.integers(0, 9), priority=st.integers(-1, 5),
                    deadline_ns=st.none() | st.integers(0, 9), arrived_ns=st.integers(0, 30))


def numbered(items: list[Waiting]) -> list[Waiting]:
    return [item._replace(request_id=f"r{i}", sequence=i) for i, item in enumerate(items)]


@pytest.mark.parametrize(("make", "key"), [
    (Fifo, lambda item: 0), (ShortestFirst, lambda item: item.estimated_tok),
    (StrictPriority, lambda item: item.priority),
    (EarliestDeadline, lambda item: (item.deadline_ns is None, item.deadline_ns or 0)),
    (lambda: Ageing(step_ns=10, levels=3), lambda item: item.arrived_ns + 10 * min(max(item.priority, 0), 2)),
])
@given(items=st.lists(WAITING, max_size=20).map(numbered))
def test_each_order_is_a_stable_sort(make, key, items: list[Waiting]) -> None:  # type: ignore[no-untyped-def]
    order = make()
    for item in reversed(items):  # also one that was put back comes to its old place
        order.push(0, item)
    assert [order.pop(0) for _ in items] == sorted(items, key=lambda item: (key(item), item.sequence))


# --- ageing


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(1, 20)), max_size=40), st.integers(1, 60))
def test_nobody_who_came_too_much_later_overtakes(rows: list[tuple[int, int, int]], step_ns: int) -> None:
    now_ns, items = 0, []
    for i, (gap_ns, priority, prompt) in enumerate(rows):
        now_ns += gap_ns
        items.append(Waiting(f"r{i}", priority=priority, prompt_tok=prompt, arrived_ns=now_ns, sequence=i))
    order = Ageing(step_ns)
    first_ns = now_ns  # arrival of the oldest that is released later
    for _, item in reversed(run(order, items).released):
        assert item.arrived_ns <= first_ns + order.most_overtaken_ns
        first_ns = min(first_ns, item.arrived_ns)


def busy_with_the_best_class() -> list[Waiting]:
    """One of the lowest class at 1, and for ever after one of the best class whenever the server is free."""
    best = [Waiting(f"b{i}", "best", prompt_tok=8, estimated_tok=1, arrived_ns=10 * i, sequence=i)
            for i in range(2_000)]
    low = Waiting("low", "low", prompt_tok=8, estimated_tok=1, arrived_ns=1, priority=3, sequence=9_999)
    return [*best, low]


def test_strict_priority_starves_the_lowest_class() -> None:
    assert run(StrictPriority(), busy_with_the_best_class()).released[-1][1].request_id == "low"


@pytest.mark.parametrize("step_ns", [10, 300, 2_000])
def test_ageing_bounds_the_wait_of_the_lowest_class(step_ns: int) -> None:
    """(levels - 1) x step, and the backlog found then: at most two requests here."""
    seen = run(Ageing(step_ns), busy_with_the_best_class())
    (wait_ns,) = seen.wait_ns("low")
    assert wait_ns <= 3 * step_ns + 2 * 10


# --- earliest deadline first


@cache
def can_be_met(jobs: tuple[Job, ...], slot: int = 0) -> bool:
    """By trying, in each slot, every job that is there, and nobody."""
    jobs = tuple(job for job in jobs if job[1])
    if not jobs:
        return True
    if any(slot + length > deadline for _, length, deadline in jobs):
        return False
    ready = [i for i, (release, _, _) in enumerate(jobs) if release <= slot]
    return any(
        can_be_met(tuple(sorted((r, n - (i == chosen), d) for i, (r, n, d) in enumerate(jobs))), slot + 1)
        for chosen in (ready or [-1])
    )


def meets_all(order: Preemptive, jobs: tuple[Job, ...]) -> bool:
    """One server in slots; what was preempted goes on where it was: preemption for nothing."""
    left = {f"r{i}": length for i, (_, length, _) in enumerate(jobs)}
    running: Waiting | None = None
    for slot in range(12):
        for i, (release, _, deadline) in enumerate(jobs):
            if release == slot:
                order.push(slot, Waiting(f"r{i}", deadline_ns=deadline, arrived_ns=release, sequence=i))
        if running and order.victim(slot, [running]) is running:
            order.push(slot, running)
            running = None
        if running is None and len(order):
            running = order.pop(slot)
        if running:
            left[running.request_id] -= 1
            if not left[running.request_id]:
                assert running.deadline_ns is not None
                if slot + 1 > running.deadline_ns:
                    return False
                running = None
    return not any(left.values())


def feasible() -> list[tuple[Job, ...]]:
    return [jobs for jobs in combinations_with_replacement(JOBS, 3) if can_be_met(jobs)]


def test_preemptive_edf_meets_every_set_of_deadlines_that_can_be_met() -> None:
    sets = feasible()
    assert 200 < len(sets) < len(list(combinations_with_replacement(JOBS, 3)))
    for jobs in sets:
        assert meets_all(EarliestDeadline(preempt=True), jobs), jobs


@pytest.mark.parametrize("order", [
    lambda: EarliestDeadline(preempt=False), lambda: EarliestDeadline(preempt=True, max_recompute_tok=1),
    lambda: StrictPriority(preempt=True),
])
def test_mutant_without_preemption_or_another_order_it_does_not(order) -> None:  # type: ignore[no-untyped-def]
    missed = [jobs for jobs in feasible() if not meets_all(order(), jobs)]
    assert bool(missed) == (order().max_recompute_tok is None)  # a prompt of 1 token may be computed again


# --- who gives way


def test_only_the_last_gives_way_and_only_to_one_strictly_before_it() -> None:
    order = StrictPriority(preempt=True)
    running = [Waiting(f"r{i}", priority=priority, sequence=i) for i, priority in enumerate([1, 2, 2])]
    assert order.victim(0, running) is None  # nobody waits
    order.push(0, Waiting("d", priority=2, sequence=4))
    assert order.victim(0, running) is None
    order.push(0, Waiting("e", priority=0, sequence=5))
    assert order.victim(0, running) is running[2]
    assert order.victim(0, []) is None


def test_a_long_prompt_is_not_computed_twice() -> None:
    order = EarliestDeadline(preempt=True, max_recompute_tok=100)
    order.push(0, Waiting("urgent", deadline_ns=1))
    late = Waiting("late", deadline_ns=99, prompt_tok=5_000)
    assert order.victim(0, [late]) is None
    assert order.victim(0, [late, short := late._replace(prompt_tok=100, deadline_ns=50)]) is short


@given(st.lists(WAITING, min_size=2, max_size=8).map(numbered))
def test_preemption_ends(items: list[Waiting]) -> None:
    """With one place and nobody new, each request gives way only until the best of all runs."""
    for order in (Ageing(7, preempt=True), EarliestDeadline(preempt=True), StrictPriority(preempt=True)):
        running = items[0]
        for item in items[1:]:
            order.push(30, item)
        for _ in range(len(items)):
            victim = order.victim(30, [running])
            if victim is None:
                break
            order.push(30, victim)
            running = order.pop(30)
        assert order.victim(30, [running]) is None


@pytest.mark.parametrize("make", [lambda: Ageing(step_ns=0), lambda: Ageing(levels=0),
                                  lambda: StrictPriority(max_recompute_tok=0)])
def test_wrong_parameters_of_an_order_are_one_clear_line(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="must be a whole number of at least 1"):
        make()
