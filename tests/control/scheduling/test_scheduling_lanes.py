"""Orders split into lanes: who cannot go is passed over, keeps its place, and holds up nobody."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from workbench.control.registry import make
from workbench.control.request import Waiting

ORDERS = ("fifo", "shortest_first", "priority", "ageing", "edf", "wfq", "vtc", "drr")
ITEMS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 900), st.integers(0, 2), st.integers(0, 2)),
                 min_size=1, max_size=25)


def waiting(i: int, tenant: str, tok: int, priority: int, lane: int) -> Waiting:
    return Waiting(f"r{i}", tenant, model=str(lane), prompt_tok=tok, estimated_tok=tok, priority=priority,
                   deadline_ns=tok * 10, sequence=i)


def order_of(name: str, split: bool = True) -> Any:
    order = make("scheduling", name)
    if split:
        order.split(lambda item: item.model)
    return order


@given(name=st.sampled_from(ORDERS), drawn=ITEMS)
def test_with_every_lane_open_it_is_the_same_order(name: str, drawn: list[Any]) -> None:
    plain, split = order_of(name, False), order_of(name)
    for i, one in enumerate(drawn):
        for order in (plain, split):
            order.push(i, waiting(i, *one))
    for i in range(len(drawn)):
        item = plain.pop(100)
        assert split.pop_able(100, lambda lane: True) == item
        if i % 3 == 0:
            for order in (plain, split):
                order.charge(100, item.request_id, item.prompt_tok, 5)


@given(name=st.sampled_from(ORDERS), drawn=ITEMS, steps=st.lists(st.sets(st.sampled_from("012")), max_size=40))
def test_somebody_goes_whenever_somebody_can_and_only_who_can(name: str, drawn: list[Any], steps: list[Any]) -> None:
    order = order_of(name)
    inside: dict[str, Waiting] = {}
    for i, one in enumerate(drawn):
        item = waiting(i, *one)
        inside[item.request_id] = item
        order.push(i, item)
    for i, open_ in enumerate([*steps, *[{"0", "1", "2"}] * len(drawn)]):
        found = order.pop_able(100 + i, lambda lane, open_=open_: lane in open_)
        able = [item for item in inside.values() if item.model in open_]
        assert (found is None) == (not able)
        if found is not None:
            assert found.model in open_
            same = [item for item in able if (item.tenant, item.priority) == (found.tenant, found.priority)]
            if name in ("fifo", "wfq", "vtc", "drr", "priority"):
                assert found == min(same, key=lambda item: item.sequence)
            del inside[found.request_id]
    assert not inside
    assert len(order) == 0


def test_a_turn_that_is_passed_over_goes_on_without_another_allowance() -> None:
    """A tenant that can go for one request at a time gets no more than its share for that."""
    order = make("scheduling", "drr", {"quantum": 100})
    order.split(lambda item: item.model)
    for i in range(60):
        order.push(0, Waiting(f"r{i}", "ab"[i % 2], model="ab"[i % 2], prompt_tok=50, estimated_tok=1, sequence=i))
    gone = []
    for i in range(40):  # after each of its requests "a" has to wait for one of "b"
        last = gone[-1] if gone else ""
        gone.append(order.pop_able(i, lambda lane, last=last: lane != last).tenant)
    assert gone == ["a", "b"] * 20
    turn = order._turns["a"]
    assert turn.deficit <= 100 + 52
