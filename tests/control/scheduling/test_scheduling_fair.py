"""Shares of tenants within their published bounds, over intervals in which both sides had something waiting."""

from collections.abc import Callable
from random import Random

import pytest
from front_server import Seen, cost, run, widest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.request import Waiting
from workbench.control.scheduling.deficit import DeficitRoundRobin
from workbench.control.scheduling.fair import StartTimeFair, VirtualTokens
from workbench.control.scheduling.lanes import Able
from workbench.control.scheduling.ordered import Fifo
from workbench.control.scheduling.protocol import Scheduler

WEIGHTS = {"a": 1, "b": 2, "c": 3}
EXACT = 1e-6  # of a swing in tokens: weights divide to fractions, nothing else is inexact
# gap_ns, tenant, prompt, output, estimate; the first of each tenant come at once, so that they do wait
REQUEST = st.tuples(st.sampled_from([0, 0, 0, 1, 5, 40, 400]), st.sampled_from("aabbc"), st.integers(1, 30),
                    st.integers(0, 20), st.integers(0, 20))
LOAD = st.lists(REQUEST, min_size=10, max_size=45)
Load = list[tuple[int, str, int, int, int]]


def items(load: Load, exact: bool) -> list[Waiting]:
    now_ns, found = 0, []
    for i, (gap_ns, tenant, prompt, output, estimate) in enumerate(load):
        now_ns += gap_ns if i >= 9 else 0
        found.append(Waiting(f"r{i}", tenant if i >= 9 else "abc"[i % 3], prompt_tok=prompt,
                             estimated_tok=output if exact else estimate, arrived_ns=now_ns, sequence=i))
    return found


def truth(load: Load) -> Callable[[Waiting], tuple[int, int]]:
    return lambda item: (item.prompt_tok, load[item.sequence][3])


def bounded(seen: Seen, extra: float, largest: Callable[[str], float]) -> int:
    swing, joint = widest(seen, WEIGHTS)
    for (a, b), found in swing.items():
        assert found <= extra + largest(a) / WEIGHTS[a] + largest(b) / WEIGHTS[b] + EXACT, (a, b)
    return joint


def sfq_within_its_bound(load: Load, order: Scheduler | None = None) -> int:
    seen = run(StartTimeFair(weights=WEIGHTS) if order is None else order, items(load, exact=True))
    return bounded(seen, 0, lambda name: seen.largest.get(name, 0))


def vtc_within_its_bound(load: Load, places: int, order: Scheduler | None = None) -> int:
    order = VirtualTokens(weights=WEIGHTS) if order is None else order
    seen = run(order, items(load, exact=False), truth(load), places, "told")
    prompt = max(request[2] for request in load)
    output = max(request[3] for request in load)
    return bounded(seen, 0, lambda name: prompt + places * 2 * output)


def drr_within_its_bound(load: Load, quantum: int, order: Scheduler | None = None) -> int:
    seen = run(DeficitRoundRobin(quantum, weights=WEIGHTS) if order is None else order, items(load, exact=True))
    return bounded(seen, quantum, lambda name: seen.largest.get(name, 0))


@given(LOAD)
def test_start_time_fair_stays_within_goyals_bound(load: Load) -> None:
    """Theorem 1 of Goyal et al. 1996: largest request over weight of the one plus that of the other."""
    sfq_within_its_bound(load)


@given(LOAD, st.integers(1, 4))
def test_start_time_fair_with_wrong_estimates_stays_within_2n_times_the_bound(load: Load, places: int) -> None:
    seen = run(StartTimeFair(weights=WEIGHTS), items(load, exact=False), truth(load), places, "done")
    bounded(seen, 0, lambda name: 2 * places * seen.largest.get(name, 0))


@given(LOAD, st.integers(1, 4))
def test_virtual_tokens_stay_within_the_papers_bound(load: Load, places: int) -> None:
    """Theorem 4.4 of arXiv 2401.00588, its batch memory M being the places here."""
    vtc_within_its_bound(load, places)


@given(LOAD, st.sampled_from([1, 7, 40, 200]))
def test_deficit_round_robin_stays_within_its_bound(load: Load, quantum: int) -> None:
    """Theorem 2 of Shreedhar & Varghese 1996: quantum + 2 Max."""
    drr_within_its_bound(load, quantum)


def drawn(seed: int, count: int = 400) -> Load:
    """Overload: of a many with long answers, of c few; now and then a gap in which all is done."""
    random, found = Random(seed), Load()
    for i in range(count):
        tenant, gap_ns = random.choice("aaabbc"), random.choice([0, 0, 0, 4000 if i % 50 == 0 else 20])
        output = random.randint(15, 20) if tenant == "a" else random.randint(0, 5)
        found.append((gap_ns, tenant, random.randint(1, 30), output, random.randint(0, 20)))
    return found


@pytest.mark.parametrize("check", [
    sfq_within_its_bound, lambda load: vtc_within_its_bound(load, 3), lambda load: drr_within_its_bound(load, 50),
])
def test_guard_the_bounds_were_tried_where_tenants_did_wait_together(check: Callable[[Load], int]) -> None:
    assert sum(check(drawn(seed)) for seed in range(3)) > 1_000  # releases in intervals of a pair


@pytest.mark.parametrize("check", [
    sfq_within_its_bound, lambda load, order: vtc_within_its_bound(load, 3, order),
    lambda load, order: drr_within_its_bound(load, 50, order),
])
def test_mutant_first_come_first_served_is_within_none_of_the_bounds(check: Callable[[Load, Scheduler], int]) -> None:
    with pytest.raises(AssertionError):
        check(drawn(1), Fifo())


def test_idle_time_is_not_saved_up() -> None:
    """b comes late: it gets its half from then on, not all until it has caught up."""
    early = [Waiting(f"a{i}", "a", prompt_tok=10, arrived_ns=0, sequence=i) for i in range(300)]
    late = [Waiting(f"b{i}", "b", prompt_tok=10, arrived_ns=2000, sequence=1000 + i) for i in range(100)]
    for order in (StartTimeFair(), VirtualTokens(), DeficitRoundRobin(quantum=12)):
        seen = run(order, early + late)
        after = [item.tenant for now_ns, item in seen.released if now_ns >= 2000][:100]
        assert abs(after.count("b") - 50) <= 1, order


@pytest.mark.parametrize("order", [StartTimeFair(), VirtualTokens(), DeficitRoundRobin(quantum=12)])
def test_one_at_a_time_earns_no_more_than_a_full_queue(order: Scheduler) -> None:
    """b's next request comes when the last is released, ten times as long as a's: still half the service."""
    service = {"a": 0, "b": 0}
    for i in range(400):
        order.push(0, Waiting(f"a{i}", "a", prompt_tok=10, estimated_tok=1, sequence=i))
    for i in range(400):
        if not order.waiting("b"):
            order.push(0, Waiting(f"b{i}", "b", prompt_tok=118, estimated_tok=1, sequence=9_000 + i))
        item = order.pop(0)
        order.charge(0, item.request_id, item.prompt_tok, 1)
        service[item.tenant] += item.prompt_tok + 2
    assert service["b"] <= service["a"] + 2 * 120


@pytest.mark.parametrize("order", [StartTimeFair(), VirtualTokens(), DeficitRoundRobin(quantum=100)])
def test_small_requests_alone_earn_nothing_for_later(order: Scheduler) -> None:
    for i in range(200):
        order.push(i, Waiting(f"b{i}", "b", sequence=i))
        order.pop(i)
    for i in range(100):
        order.push(200, Waiting(f"x{i}", "ab"[i % 2], prompt_tok=48, estimated_tok=1, sequence=200 + i))
    first = [order.pop(200).tenant for _ in range(40)]
    assert abs(first.count("b") - 20) <= 2


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 40)), min_size=1, max_size=25), st.integers(1, 9))
def test_skipping_rounds_is_the_same_as_walking_them(load: list[tuple[str, int]], quantum: int) -> None:
    class Walking(DeficitRoundRobin):
        def _skip(self, able: Able | None) -> None:
            pass

    def play(order: Scheduler) -> list[str]:
        for i, (tenant, prompt) in enumerate(load):
            order.push(0, Waiting(f"r{i}", tenant, prompt_tok=prompt, sequence=i))
        return [order.pop(0).request_id for _ in load]

    assert play(DeficitRoundRobin(quantum, {"b": 3})) == play(Walking(quantum, {"b": 3}))


def flood(order: Scheduler) -> Seen:
    """A sends requests of 2,000 tokens as fast as it may; B asks for a fifth of the server in small ones."""
    large = [Waiting(f"a{i}", "A", prompt_tok=1_000, estimated_tok=500, arrived_ns=i * 1_000, sequence=i)
             for i in range(200)]
    small = [Waiting(f"b{i}", "B", prompt_tok=10, estimated_tok=5, arrived_ns=50 + i * 100, sequence=10_000 + i)
             for i in range(2_000)]
    return run(order, sorted(large + small, key=lambda item: item.arrived_ns), until_ns=200_000, count="told")


def test_fault_request_count_round_robin_starves_small_requests() -> None:
    """One request each in turn gives B a hundredth of the server, though it asks for less than half."""
    seen = flood(DeficitRoundRobin(quantum=1, count="requests"))
    assert len(seen.wait_ns("B")) < 120  # of 2,000
    assert max(seen.wait_ns("B")) > 180_000


@pytest.mark.parametrize("order", [VirtualTokens(), StartTimeFair(), DeficitRoundRobin(quantum=100)])
def test_token_weighted_orders_do_not_starve_small_requests(order: Scheduler) -> None:
    seen = flood(order)
    assert len(seen.wait_ns("B")) > 1_990
    assert max(seen.wait_ns("B")) <= 2 * 2_000  # the large one that runs, and what came meanwhile


def test_virtual_tokens_need_no_estimate_but_may_use_one() -> None:
    def first_two(order: Scheduler) -> list[str]:
        for i, (tenant, guess) in enumerate([("a", 900), ("a", 900), ("b", 1), ("b", 1)]):
            order.push(0, Waiting(f"r{i}", tenant, prompt_tok=10 + (tenant == "b"), estimated_tok=guess, sequence=i))
        return [order.pop(0).tenant for _ in range(4)]

    assert first_two(VirtualTokens()) == ["a", "b", "a", "b"]
    assert first_two(VirtualTokens(predict=True)) == ["a", "b", "b", "a"]


@pytest.mark.parametrize("make", [StartTimeFair, VirtualTokens, lambda: DeficitRoundRobin(quantum=30)])
def test_what_was_not_used_is_given_back_and_what_was_used_beyond_is_taken(make: Callable[[], Scheduler]) -> None:
    """Twice the same queue; where a's request ran longer than guessed, b goes first after it."""
    def second(real_tok: int) -> list[str]:
        order = make()
        for i, tenant in enumerate("aaa" + 12 * "b"):
            order.push(0, Waiting(f"r{i}", tenant, prompt_tok=10, estimated_tok=10, sequence=i))
        assert order.pop(0).tenant == "a"
        order.charge(1, "r0", 10, real_tok)
        return [order.pop(1).tenant for _ in range(14)]

    assert second(0).index("a") <= second(10).index("a") < second(90).index("a")


def test_progress_counts_as_it_is_told_and_only_once() -> None:
    order = VirtualTokens()
    order.push(0, Waiting("x", "a", prompt_tok=10))
    order.pop(0)
    told = []
    for output in (5, 5, 8):
        order.charge(1, "x", 10, output, done=False)
        told.append(order.counter("a"))
    order.charge(2, "x", 10, 9)
    assert [*told, order.counter("a")] == [20, 20, 26, 28]
    with pytest.raises(ValueError, match="request x: charged, but it is not released"):
        order.charge(3, "x", 10, 9)


@pytest.mark.parametrize("order", [StartTimeFair(), VirtualTokens(), DeficitRoundRobin()])
def test_who_is_released_and_not_charged_cannot_wait_again(order: Scheduler) -> None:
    order.push(0, item := Waiting("x", "a"))
    order.pop(0)
    with pytest.raises(ValueError, match="request x: is released; charge it as done before it waits again"):
        order.push(0, item)
    order.charge(0, "x", 0, 0)
    order.push(0, item)
    assert order.pop(0) is item


@pytest.mark.parametrize("make", [StartTimeFair, VirtualTokens, DeficitRoundRobin])
def test_idle_tenants_are_forgotten_and_nothing_changes(make: Callable[[], Scheduler]) -> None:
    order = make()
    for i in range(5_000):
        order.push(i, Waiting(f"r{i}", f"t{i}", prompt_tok=1 + i % 7, sequence=i))
        assert order.pop(i).request_id == f"r{i}"
        order.charge(i, f"r{i}", 1, 1)
    kept = order._flows if isinstance(order, StartTimeFair | VirtualTokens) else order._turns  # type: ignore[attr-defined]
    assert len(kept) < 5_000


@pytest.mark.parametrize(("call", "told"), [
    (lambda: StartTimeFair(weights={"a": 0}), r"weights\.a 0: must be a whole number of at least 1"),
    (lambda: VirtualTokens(tier_weights={"free": -1}), r"tier_weights\.free -1"),
    (lambda: DeficitRoundRobin(default_weight=0), "default_weight 0"),
    (lambda: DeficitRoundRobin(quantum=0), "quantum 0"),
    (lambda: DeficitRoundRobin(count="bytes"), "count 'bytes' is unknown; known: tokens, requests"),
    (lambda: StartTimeFair(output_cost=0), "output_cost 0"),
])
def test_wrong_parameters_are_one_clear_line(call: Callable[[], Scheduler], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        call()


def test_cost_of_the_tests_is_the_policies_cost() -> None:
    assert StartTimeFair().tab.cost(7, 5) == cost(7, 5)
