"""Double entry: zero at every posting, each key once, and what is refused leaves no trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.money.errors import ClockWentBack, Conflict
from workbench.control.money.ledger import Ledger

ENTRIES = st.lists(st.tuples(st.sampled_from(["a", "b", "c:x"]), st.integers(-5, 5)), max_size=4).map(tuple)
Step = tuple[int, str, tuple[tuple[str, int], ...], bool]
STEPS = st.lists(st.tuples(st.integers(-1, 2), st.sampled_from("klmn"), ENTRIES, st.booleans()), max_size=30)


@given(STEPS)
def test_the_ledger_sums_to_zero_whatever_is_tried(steps: list[Step]) -> None:
    ledger, now_ns, latest_ns, seen = Ledger(), 0, 0, dict[str, object]()
    for gap, key, entries, even in steps:
        now_ns = max(0, now_ns + gap)
        if even:  # made to sum to zero
            entries = (*entries, ("a", -sum(pusd for _, pusd in entries)))
        before, count = ledger.balances(), len(ledger)
        if key in seen:
            if seen[key] == entries:
                assert ledger.post(now_ns, key, entries) is False
            else:
                with pytest.raises(Conflict, match=f"posting '{key}': posted at"):
                    ledger.post(now_ns, key, entries)
        elif now_ns < latest_ns:
            with pytest.raises(ClockWentBack, match=f"the clock went back from {latest_ns} to {now_ns} ns"):
                ledger.post(now_ns, key, entries)
        elif sum(pusd for _, pusd in entries):
            with pytest.raises(ValueError, match="not zero"):
                ledger.post(now_ns, key, entries)
            latest_ns = now_ns
        else:
            assert ledger.post(now_ns, key, entries) is True
            seen[key], latest_ns = entries, now_ns
            assert len(ledger) == count + 1
            count, before = count + 1, ledger.balances()
        assert (ledger.balances(), len(ledger)) == (before, count)
        assert sum(ledger.balances().values()) == 0
    replayed = Ledger()
    for posting in ledger:
        replayed.post(*posting)
    assert replayed.balances() == ledger.balances()
    assert ledger.group("c") == ledger.balance("c:x")


def test_a_float_never_gets_in() -> None:
    ledger = Ledger()
    with pytest.raises(ValueError, match=r"posting 'k': a gets 0\.5, not an integer"):
        ledger.post(0, "k", (("a", 0.5), ("b", -0.5)))  # type: ignore[arg-type]
    assert len(ledger) == 0
