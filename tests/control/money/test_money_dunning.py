"""The ladder against a walk over every instant, and what suspends comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.money.dunning import LADDER, Dunning, Step
from workbench.control.money.errors import ClockWentBack
from workbench.control.money.periods import DAY_NS

SHORT = ((0, "charge"), (3, "remind"), (3, "charge"), (8, "suspend"), (20, "write_off"))
EVENTS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["owed", "paid", "stop", "go_on", "look"]),
                            st.sampled_from(["i1", "i2"])), max_size=25)


@given(EVENTS)
def test_every_step_comes_at_its_time_however_seldom_one_looks(events: list[tuple[int, str, str]]) -> None:
    """The reference counts instants one by one, and not those in dispute."""
    dunning, now_ns, steps, expected = Dunning(SHORT), 0, list[Step](), list[Step]()
    age, stopped, last = dict[str, int](), set[str](), -1

    def walk(until_ns: int) -> None:
        nonlocal last
        for at_ns in range(last + 1, until_ns + 1):
            for name in sorted(age):
                if name not in stopped:
                    age[name] += 1
                    expected.extend(Step(at_ns, what, "t", name) for after, what in SHORT if after == age[name])
        last = until_ns

    for gap, what, name in events:
        now_ns += gap
        walk(now_ns)
        steps += dunning.on_time(now_ns)
        assert sorted(steps) == sorted(expected)
        if what == "owed":
            dunning.owed(now_ns, name, "t", now_ns + 2)
            age.setdefault(name, -2)
        elif what == "paid":
            suspended = dunning.suspended("t")
            resumed = dunning.paid(now_ns, name)
            assert bool(resumed) == (suspended and not dunning.suspended("t"))
            age.pop(name, None)
            stopped.discard(name)
        elif what == "stop":
            dunning.stop(now_ns, name)
            stopped |= {name} & age.keys()
        elif what == "go_on":
            dunning.go_on(now_ns, name)
            stopped.discard(name)
        due_ns = dunning.due_ns()
        assert due_ns is None or due_ns > now_ns
    walk(now_ns + 40)
    steps += dunning.on_time(now_ns + 40)
    assert sorted(steps) == sorted(expected)
    assert [one.at_ns for one in steps] == sorted(one.at_ns for one in steps)


def test_the_ladder_that_ships_ends_in_a_write_off() -> None:
    dunning = Dunning()
    dunning.owed(0, "i", "t", 30 * DAY_NS)
    steps = dunning.on_time(365 * DAY_NS)
    assert [(one.at_ns - 30 * DAY_NS, one.action) for one in steps] == list(LADDER)
    assert (dunning.due_ns(), dunning.suspended("t")) == (None, True)


def test_a_tenant_comes_back_when_the_last_of_its_invoices_is_paid() -> None:
    dunning = Dunning(((1, "suspend"),))
    for invoice in ("i", "j"):
        dunning.owed(0, invoice, "t", 0)
    dunning.on_time(1)
    assert dunning.paid(2, "i") == []
    assert dunning.paid(3, "j") == [Step(3, "resume", "t", "j")]
    assert dunning.paid(3, "j") == []


@pytest.mark.parametrize(("ladder", "says"), [
    (((0, "beg"),), "ladder: beg at 0 ns"), (((5, "charge"), (4, "remind")), "in the order of time"),
    (((-1, "charge"),), "ladder: -1 is less than 0"),
])
def test_a_ladder_that_cannot_be(ladder: tuple[tuple[int, str], ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Dunning(ladder)


def test_the_clock_does_not_go_back() -> None:
    dunning = Dunning()
    dunning.on_time(5)
    with pytest.raises(ClockWentBack):
        dunning.on_time(4)
