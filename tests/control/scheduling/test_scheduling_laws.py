"""What holds for every order: nothing lost, nothing twice, the same events give the same decisions."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.request import Waiting
from workbench.control.scheduling.deficit import DeficitRoundRobin
from workbench.control.scheduling.fair import StartTimeFair, VirtualTokens
from workbench.control.scheduling.ordered import Ageing, EarliestDeadline, Fifo, ShortestFirst, StrictPriority
from workbench.control.scheduling.protocol import Scheduler

Make = Callable[[], Scheduler]
ORDERS: dict[str, Make] = {
    "fifo": Fifo, "shortest": ShortestFirst, "priority": StrictPriority, "ageing": lambda: Ageing(20),
    "edf": EarliestDeadline, "sfq": lambda: StartTimeFair(weights={"a": 3}),
    "vtc": lambda: VirtualTokens(weights={"a": 3}), "vtc_predict": lambda: VirtualTokens(predict=True),
    "drr": lambda: DeficitRoundRobin(17, weights={"a": 3}), "rr": lambda: DeficitRoundRobin(1, count="requests"),
}
# push; pop; remove a waiting one; progress; done; done and waiting again (preempted)
STEP = st.tuples(st.sampled_from("++++---xptq"), st.integers(0, 99), st.sampled_from("aab"), st.integers(0, 40))
SCRIPT = st.lists(STEP, min_size=5, max_size=60)
Script = list[tuple[str, int, str, int]]


def play(order: Scheduler, script: Script) -> list[str]:
    """Plays it beside a plain model: a list of who waits and one of who is released. Returns all decisions."""
    waiting: dict[str, Waiting] = {}
    released: dict[str, Waiting] = {}
    decisions: list[str] = []
    for i, (what, which, tenant, tok) in enumerate(script):
        now_ns = 3 * i
        if what == "+":
            item = Waiting(f"r{i}", tenant, prompt_tok=1 + tok, estimated_tok=which, arrived_ns=now_ns,
                           deadline_ns=tok or None, priority=which % 4, sequence=i)
            order.push(now_ns, item)
            waiting[item.request_id] = item
        elif what == "-" and waiting:
            first = order.peek(now_ns)
            item = order.pop(now_ns)
            assert item is first
            assert waiting.pop(item.request_id) is item  # it waited, and waits no longer
            released[item.request_id] = item
            decisions.append(item.request_id)
        elif what == "x" and waiting:
            name = sorted(waiting)[which % len(waiting)]
            assert order.remove(now_ns, name) is waiting.pop(name)
            assert order.remove(now_ns, name) is None
        elif released and what in "ptq":
            name = sorted(released)[which % len(released)]
            order.charge(now_ns, name, tok, which, done=what != "p")
            if what != "p":
                item = released.pop(name)
                if what == "q":
                    order.push(now_ns, item)
                    waiting[name] = item
        assert len(order) == len(waiting)
        for name in "ab":
            assert order.waiting(name) == sum(item.tenant == name for item in waiting.values())
    while len(order):
        decisions.append(order.pop(10_000).request_id)
        del waiting[decisions[-1]]
    assert not waiting
    return decisions


@pytest.mark.parametrize("name", ORDERS)
@given(script=SCRIPT)
def test_nothing_is_lost_and_nothing_comes_twice(name: str, script: Script) -> None:
    assert play(ORDERS[name](), script) == play(ORDERS[name](), script)


@pytest.mark.parametrize("name", ["sfq", "vtc", "drr"])
@given(script=SCRIPT)
def test_without_others_a_fair_order_serves_a_tenant_by_class_and_arrival(name: str, script: Script) -> None:
    """A tenant's priorities order its own requests."""
    items = [Waiting(f"r{i}", prompt_tok=1 + tok, priority=which % 3, sequence=i)
             for i, (_, which, _, tok) in enumerate(script)]
    order = ORDERS[name]()
    for item in items:
        order.push(0, item)
    assert [order.pop(0) for _ in items] == sorted(items, key=lambda item: (item.priority, item.sequence))


@pytest.mark.parametrize("name", ORDERS)
def test_wrong_calls_are_one_clear_line(name: str) -> None:
    order = ORDERS[name]()
    with pytest.raises(ValueError, match="nobody waits"):
        order.pop(0)
    order.push(5, Waiting("a"))
    with pytest.raises(ValueError, match="request a: waits already"):
        order.push(5, Waiting("a"))
    for call in (order.pop, order.peek, lambda now_ns: order.push(now_ns, Waiting("b")),
                 lambda now_ns: order.remove(now_ns, "a"), lambda now_ns: order.charge(now_ns, "a", 1, 1)):
        with pytest.raises(ValueError, match="the clock went back from 5 to 4 ns"):
            call(4)
    assert order.pop(5).request_id == "a"  # and nothing was lost


@pytest.mark.parametrize("name", ORDERS)
def test_removing_much_leaves_no_rubbish(name: str) -> None:
    order = ORDERS[name]()
    for i in range(3_000):
        order.push(i, Waiting(f"r{i}", "ab"[i % 2], prompt_tok=1 + i % 5, deadline_ns=i, sequence=i))
        if i >= 10:
            order.remove(i, f"r{i - 10}" if i % 3 else f"r{i}")
    heaps = [vars(order).get("_heap", ())]
    if isinstance(order, StartTimeFair | VirtualTokens):
        heaps += [flow.line._heap for flow in order._flows.values()]
        assert len(order._heap) < 200
    for heap in heaps:
        assert len(getattr(heap, "_heap", heap)) < 2 * len(order) + 500
