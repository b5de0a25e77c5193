"""Nothing is lost at any event, guarantees hold, and who is evicted is who was said to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.resources.allocator import PPM, Allocator
from workbench.control.resources.holding import Eviction, Grant, Holding, Refusal

STEPS = st.lists(
    st.tuples(
        st.integers(0, 9), st.sampled_from(["reserve", "reserve", "grow", "release", "time"]), st.sampled_from("abc"),
        st.integers(1, 6), st.integers(0, 2), st.integers(0, 99),
    ),
    min_size=15, max_size=60,
)


def order(holding: Holding) -> tuple[int, int]:
    return holding.priority, holding.sequence


def check_victims(
    pool: Allocator, before: list[Holding], evicted: tuple[Eviction, ...], grown: tuple[str, int]
) -> None:
    """Each one evicted was, at that moment, the first in the stated order of those above their guarantee."""
    held = {h.id: h for h in before}
    if grown[0] in held:
        old = held[grown[0]]
        held[old.id] = old._replace(used=grown[1], reserved=max(old.reserved, grown[1]))
    for gone in evicted:
        if gone.why != "expired":
            amount = {h: (v.used if gone.why == "outgrown" else v.reserved) for h, v in held.items()}
            of = {t: sum(amount[h] for h, v in held.items() if v.tenant == t) for t in "abc"}
            above = [v for v in held.values() if of[v.tenant] > pool.guarantees.get(v.tenant, 0)]
            assert gone.id == max(above, key=order).id
        del held[gone.id]


@given(steps=STEPS, capacity=st.integers(8, 14), over=st.integers(0, PPM), a=st.integers(0, 5), b=st.integers(0, 3))
def test_conservation_guarantees_and_order_of_eviction_at_every_event(
    steps: list[tuple[int, str, str, int, int, int]], capacity: int, over: int, a: int, b: int
) -> None:
    pool = Allocator(capacity, PPM + over, {"a": a, "b": b}, expire_ns=40)
    now_ns, held, integral, ended = 0, {}, dict.fromkeys("abc", (0, 0)), 0
    for i, (step_ns, what, tenant, amount, priority, pick) in enumerate(steps):
        for holding in held.values():
            r, u = integral[holding.tenant]
            integral[holding.tenant] = r + holding.reserved * step_ns, u + holding.used * step_ns
        now_ns += step_ns
        before, evicted, grown = list(held.values()), (), ("", 0)
        if what == "reserve":
            mine = sum(h.reserved for h in before if h.tenant == tenant)
            answer = pool.reserve(now_ns, f"r{i}", tenant, amount, priority, used=pick % (amount + 1))
            if mine + amount <= pool.guarantees.get(tenant, 0):
                assert isinstance(answer, Grant)
                assert all(e.tenant != tenant for e in answer.evicted)
            elif isinstance(answer, Grant):
                assert answer.evicted == ()  # who borrows evicts nobody
            if isinstance(answer, Refusal):
                assert answer.why == ("never" if amount > pool.limit else "full")
            else:
                evicted = answer.evicted
                used = pick % (amount + 1)
                held[f"r{i}"] = Holding(f"r{i}", tenant, priority, pool.books.opened, amount, used, now_ns)
        elif what == "time":
            evicted = pool.on_time(now_ns)
            assert {e.id for e in evicted} == {h.id for h in before if h.since_ns + 40 <= now_ns}
        elif before and what == "grow":
            old = before[pick % len(before)]
            grown = old.id, min(old.used + amount, capacity)
            evicted = pool.grow(now_ns, *grown)
            held[old.id] = old._replace(used=grown[1], reserved=max(old.reserved, grown[1]))
        elif before:
            gone = before[pick % len(before)]
            assert pool.release(now_ns, gone.id) == held.pop(gone.id)
            ended += 1
        if what in ("time", "grow"):
            check_victims(pool, before, evicted, grown)
        for gone_ in evicted:
            tenant_, why = gone_.tenant, gone_.why
            was = sum(h.reserved for h in held.values() if h.tenant == tenant_)
            assert why == "expired" or was > pool.guarantees.get(tenant_, 0)
            del held[gone_.id]
            ended += 1
        assert {h: pool.get(h) for h in held} == held
        assert len(pool) == len(held) == pool.books.opened - ended
        assert sum(pool.books.closed.values()) == ended
        assert pool.books.used == sum(h.used for h in held.values()) <= capacity
        assert pool.books.reserved == sum(h.reserved for h in held.values()) <= pool.limit
        for t in "abc":
            account = pool.books.account(now_ns, t)
            assert (account.reserved_ns, account.used_ns) == integral[t]
            assert account.used == sum(h.used for h in held.values() if h.tenant == t)
            assert account.holdings == sum(h.tenant == t for h in held.values())


def test_a_guarantee_takes_back_what_was_borrowed_lowest_class_then_latest_first() -> None:
    pool = Allocator(10, guarantees={"a": 6})
    for i, priority in enumerate((0, 1, 1)):
        assert pool.reserve(i, f"b{i}", "b", 3, priority) == Grant()
    assert pool.reserve(4, "b3", "b", 2) == Refusal("full", 1)
    assert pool.reserve(5, "a0", "a", 6) == Grant((Eviction("b2", "b", 3, 0, "reclaimed"),
                                                   Eviction("b1", "b", 3, 0, "reclaimed")))
    assert pool.reserve(6, "a1", "a", 2) == Refusal("full", 1)  # beyond the guarantee it borrows like others


def test_overcommit_promises_more_than_there_is_and_evicts_when_it_is_called() -> None:
    pool = Allocator(10, 2 * PPM)
    assert pool.reserve(0, "x", "a", 10, used=6) == pool.reserve(0, "y", "a", 10, used=4) == Grant()
    assert pool.grow(1, "x", 7) == (Eviction("y", "a", 10, 4, "outgrown"),)
    assert pool.reserve(2, "z", "a", 10, used=3) == Grant()
    assert pool.grow(3, "z", 4) == (Eviction("z", "a", 10, 4, "outgrown"),)  # itself


def test_what_nobody_released_is_reclaimed() -> None:
    pool = Allocator(10, expire_ns=100)
    pool.reserve(5, "x", "a", 10)
    assert pool.due_ns() == 105
    assert pool.on_time(104) == ()
    assert pool.on_time(105) == (Eviction("x", "a", 10, 0, "expired"),)
    assert (pool.due_ns(), Allocator(3).due_ns()) == (None, None)


def test_many_short_holdings_do_not_pile_up() -> None:
    pool = Allocator(10, guarantees={"b": 1})
    pool.reserve(0, "borrowed", "a", 10)
    pool.reserve(0, "claimed", "b", 1)  # somebody is evicted: from now on the order of eviction is kept
    for i in range(5000):
        pool.reserve(i, f"h{i}", "a", 1)
        pool.release(i, f"h{i}")
    assert 0 < pool._victims._entries <= 1100


@pytest.mark.parametrize(("arguments", "message"), [
    ({"capacity": 0}, "capacity 0"), ({"capacity": 5, "overcommit_ppm": 5}, "overcommit_ppm 5"),
    ({"capacity": 5, "guarantees": {"a": 3, "b": 3}}, "guarantees: 6 in all are more than the capacity 5"),
    ({"capacity": 5, "guarantees": {"a": -1}}, r"guarantees\.a -1"), ({"capacity": 5, "expire_ns": 0}, "expire_ns 0"),
])
def test_parameters_that_make_no_sense(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Allocator(**arguments)  # type: ignore[arg-type]


def test_mistakes_of_the_caller_change_nothing() -> None:
    pool = Allocator(10)
    pool.reserve(5, "x", "a", 4)
    for call, message in (
        (lambda: pool.reserve(5, "x", "a", 1), "holding x: holds already"),
        (lambda: pool.reserve(5, "y", "a", 1, used=2), "used 2 is more than the 1 reserved"),
        (lambda: pool.release(5, "z"), "holding z: holds nothing"),
        (lambda: pool.grow(4, "x", 1), "clock went back from 5 to 4 ns"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert (len(pool), pool.books.reserved, pool.books.used) == (1, 4, 0)
