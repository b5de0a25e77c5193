"""The bounded line: nobody is lost, nobody above the bound, nobody released who cannot be in time any more."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.control.queueing.manager import QueueManager
from workbench.control.queueing.outcome import FULL, LATE, SOJOURN, TENANT_FULL, TOO_LATE, Dropped
from workbench.control.request import Waiting
from workbench.control.scheduling.deficit import DeficitRoundRobin
from workbench.control.scheduling.fair import StartTimeFair, VirtualTokens
from workbench.control.scheduling.ordered import EarliestDeadline, Fifo, StrictPriority
from workbench.control.scheduling.protocol import Scheduler

ORDERS: list[Callable[[], Scheduler]] = [
    Fifo, StrictPriority, EarliestDeadline, VirtualTokens, StartTimeFair, lambda: DeficitRoundRobin(9),
]
SETUP = st.fixed_dictionaries({
    "limit": st.none() | st.integers(1, 6), "tenant_limit": st.none() | st.integers(1, 4),
    "tenant_limits": st.sampled_from([{}, {"a": 2}]),
    "overflow": st.sampled_from(["drop_tail", "drop_lowest", "drop_oldest"]),
    "service": st.sampled_from([{}, {"base_ns": 2, "prompt_ns": 1, "output_ns": 1}]),
    "codel": st.sampled_from([None, {"target_ns": 5, "interval_ns": 20}]),
    "pressure": st.just({"up": [2, 4], "down": [0, 2]}), "smaller": st.sampled_from([{}, {"big": "small"}]),
    "degrade_tiers": st.sampled_from([None, ["free"]]),
})
# push; pop; cancel; expire; a released one is over
STEP = st.tuples(st.sampled_from("++++--xe."), st.integers(0, 6), st.integers(0, 99), st.sampled_from("aab"))
Script = list[tuple[str, int, int, str]]


@settings(max_examples=200)
@given(st.sampled_from(ORDERS), SETUP, st.lists(STEP, min_size=5, max_size=60))
def test_nobody_is_lost_and_every_bound_holds(
    make: Callable[[], Scheduler], setup: dict[str, Any], script: Script
) -> None:
    """Beside a plain model: who waits, and where everyone else went."""
    manager, now_ns = QueueManager(make(), **setup), 0
    waiting: dict[str, Waiting] = {}
    went: dict[str, str] = {}
    released: list[str] = []

    def gone(drops: tuple[Dropped, ...]) -> None:
        for item, reason in drops:
            assert went.setdefault(item.request_id, reason) is reason  # once
            known = waiting.pop(item.request_id, None)
            assert known is None or known is item
            last_ns = None if item.deadline_ns is None else item.deadline_ns - manager.service.takes_ns(item)
            assert (reason in (LATE, TOO_LATE)) == (last_ns is not None and now_ns > last_ns)
            assert reason != SOJOURN or now_ns - item.arrived_ns >= 5
        assert not {item.request_id for item, _ in drops} & set(released)

    for i, (what, gap_ns, number, tenant) in enumerate(script):
        now_ns += gap_ns
        if what == "+":
            item = Waiting(f"r{i}", tenant, ("pro", "free")[number % 2], model="big", prompt_tok=1 + number % 5,
                           arrived_ns=now_ns, deadline_ns=now_ns + number % 16 if number % 3 else None,
                           priority=number % 3, sequence=i)
            level = manager.level
            pushed = manager.push(now_ns, item)
            if pushed.item is not None:
                may = bool(setup["smaller"]) and (setup["degrade_tiers"] is None or item.tier == "free")
                # who expires on the way may have lowered the level
                assert pushed.item.model == ("small" if may and level >= 1 else "big") or pushed.dropped
                assert pushed.item._replace(model="big") == item
                waiting[item.request_id] = pushed.item
            gone(pushed.dropped)
            assert (item.request_id in went) == (pushed.item is None)
        elif what == "-":
            popped = manager.pop(now_ns)
            gone(popped.dropped)
            if popped.item is None:
                assert not waiting
            else:
                assert waiting.pop(popped.item.request_id) is popped.item
                released.append(popped.item.request_id)
                last_ns = popped.item.deadline_ns
                assert last_ns is None or now_ns + manager.service.takes_ns(popped.item) <= last_ns
        elif what == "x" and waiting:
            name = sorted(waiting)[number % len(waiting)]
            assert manager.cancel(now_ns, name) is waiting.pop(name)
            assert manager.cancel(now_ns, name) is None
        elif what == "e":
            due_ns = manager.due_ns()
            drops = manager.expire(now_ns)
            assert bool(drops) == (due_ns is not None and due_ns <= now_ns)
            gone(drops)
        elif released:
            manager.charge(now_ns, released.pop(), number, number)
        assert len(manager) == len(manager.order) == len(waiting) <= (setup["limit"] or 99)
        for name in "ab":
            bound = setup["tenant_limits"].get(name, setup["tenant_limit"]) or 99
            assert manager.waiting(name) == sum(item.tenant == name for item in waiting.values()) <= bound


def line(overflow: str, **more: Any) -> tuple[QueueManager, list[Dropped]]:
    """Room for three; classes 1, 2, 2, then one of class 1."""
    manager = QueueManager(Fifo(), overflow=overflow, **{"limit": 3, **more})
    drops: list[Dropped] = []
    for i, priority in enumerate([1, 2, 2, 1]):
        drops += manager.push(i, Waiting(f"r{i}", priority=priority, sequence=i)).dropped
    return manager, drops


@pytest.mark.parametrize(("overflow", "who"), [("drop_tail", "r3"), ("drop_lowest", "r2"), ("drop_oldest", "r0")])
@pytest.mark.parametrize(("more", "reason"), [({}, FULL), ({"tenant_limit": 3, "limit": None}, TENANT_FULL)])
def test_who_goes_when_the_line_is_full(overflow: str, who: str, more: dict[str, Any], reason: str) -> None:
    manager, drops = line(overflow, **more)
    assert [(drop.item.request_id, drop.reason) for drop in drops] == [(who, reason)]
    assert len(manager) == 3


def test_the_lowest_class_that_arrives_is_the_one_that_goes() -> None:
    manager, _ = line("drop_lowest")
    assert manager.push(5, Waiting("low", priority=3, sequence=9)).item is None


def test_a_full_tenant_costs_nobody_else_a_place() -> None:
    manager = QueueManager(Fifo(), tenant_limit=2, overflow="drop_oldest")
    for i, tenant in enumerate("abaa"):
        drops = manager.push(i, Waiting(f"{tenant}{i}", tenant, sequence=i)).dropped
    assert [drop.item.request_id for drop in drops] == ["a0"]
    assert manager.waiting("b") == 1


def test_a_deadline_is_kept_to_the_nanosecond() -> None:
    def fresh() -> QueueManager:
        manager = QueueManager(Fifo(), service={"base_ns": 5, "prompt_ns": 2, "output_ns": 3})
        manager.push(0, Waiting("a", prompt_tok=10, estimated_tok=5, deadline_ns=100))
        return manager

    assert fresh().due_ns() == 61  # 5 + 20 + 15 before 100, and one
    assert fresh().pop(60).item is not None
    assert [drop.reason for drop in fresh().pop(61).dropped] == [TOO_LATE]
    assert [drop.reason for drop in fresh().expire(101)] == [LATE]
    assert fresh().push(61, Waiting("b", prompt_tok=10, estimated_tok=5, deadline_ns=100)).item is None


def test_what_is_shed_after_it_was_counted_is_given_back() -> None:
    order = StartTimeFair()
    manager = QueueManager(order, codel={"target_ns": 1, "interval_ns": 1})
    for i in range(9):
        manager.push(0, Waiting(f"r{i}", "ab"[i % 2], prompt_tok=10, sequence=i))
    released, dropped = [], 0
    for now_ns in range(10, 19):
        popped = manager.pop(now_ns)
        dropped += len(popped.dropped)
        if popped.item:
            released.append(popped.item)
    assert dropped
    assert len(order.tab) == len(released)
    for tenant in "ab":
        served = sum(12 for item in released if item.tenant == tenant)
        assert served <= order.counter(tenant)
    assert order.counter("a") + order.counter("b") == 12 * len(released)


def test_degrading_begins_at_its_level_and_for_its_tiers() -> None:
    manager = QueueManager(Fifo(), pressure={"up": [2, 4], "down": [1, 2]}, smaller={"70b": "8b"}, degrade_from=2,
                           degrade_tiers=["free"])
    models = []
    for i in range(6):
        item = manager.push(0, Waiting(f"r{i}", tier=("free", "pro")[i % 2], model="70b", sequence=i)).item
        assert item is not None
        models.append(item.model)
    assert models == ["70b"] * 4 + ["8b", "70b"]
    while manager.level:
        manager.pop(1)
    assert len(manager) == 1
    item = manager.push(2, Waiting("last", tier="free", model="70b", sequence=9)).item
    assert item is not None
    assert item.model == "70b"


@pytest.mark.parametrize(("call", "told"), [
    (lambda: QueueManager(Fifo(), limit=0), "limit 0"),
    (lambda: QueueManager(Fifo(), tenant_limits={"a": -1}), r"tenant_limits\.a -1"),
    (lambda: QueueManager(Fifo(), overflow="drop_head"), "overflow 'drop_head' is unknown; known: drop_tail"),
    (lambda: QueueManager(Fifo(), codel={"target": 1}), "codel: got an unexpected keyword argument 'target'"),
    (lambda: QueueManager(Fifo(), codel={"interval_ns": 0}), "interval_ns 0"),
    (lambda: QueueManager(Fifo(), service={"base_ns": -1}), r"service\.base_ns -1"),
    (lambda: QueueManager(Fifo(), smaller={"a": "b"}), "smaller: without pressure nobody"),
])
def test_wrong_parameters_of_the_line_are_one_clear_line(call: Callable[[], QueueManager], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        call()


def test_wrong_calls_lose_nothing() -> None:
    manager = QueueManager(Fifo())
    manager.push(5, Waiting("a"))
    with pytest.raises(ValueError, match="request a: waits already"):
        manager.push(5, Waiting("a"))
    for call in (manager.pop, manager.expire, lambda now_ns: manager.push(now_ns, Waiting("b"))):
        with pytest.raises(ValueError, match="went back from 5 to 4"):
            call(4)
    assert manager.pop(5).item == Waiting("a")
    assert manager.pop(5).item is None
