"""What every usage store must answer: as the pure CostTracker does, and as sums of the facts say."""

from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import strategies as st

from workbench.adapters.usage_store import GROUPS, Fact, Spent, UsageStore, User
from workbench.control.money.cost_tracker import CostTracker
from workbench.control.money.errors import Conflict
from workbench.control.money.usage import Usage

SLICE_NS = 10
TEXT = st.sampled_from(["a", "B", "ä", "", "it's \\ \t\n\"%s\" {x}", "😀"])
FACTS = st.lists(st.builds(Fact, st.builds(
    Usage, st.integers(0, 99).map(str), st.integers(0, 60), TEXT, TEXT, st.integers(5, 9), st.integers(0, 9),
    st.integers(0, 5), st.integers(0, 2**63 - 1), TEXT, TEXT), st.integers(-2**63, 2**63 - 1)),
    max_size=25, unique_by=lambda fact: fact.usage.key)
SPANS = st.tuples(st.integers(0, 7), st.integers(0, 7)).map(lambda span: (span[0] * SLICE_NS, span[1] * SLICE_NS))
Make = Callable[[], UsageStore]


def answers_like_the_tracker(make: Make, facts: list[Fact], cut: int, span: tuple[int, int]) -> None:
    """Sums beyond 64 bits included; facts told again change nothing."""
    store, tracker = make(), CostTracker(SLICE_NS)
    assert store.by() == []
    assert store.add(facts[:cut]) == len(facts[:cut])
    assert store.add([*facts, *facts]) == len(facts[cut:])
    for usage, price_pusd in facts:
        tracker.record(usage, price_pusd)
    from_ns, until_ns = span
    for n in range(4):
        for columns in combinations(GROUPS, n):
            assert store.by(*columns) == tracker.by(*columns)
            assert store.by(*columns, from_ns=from_ns, until_ns=until_ns) == tracker.by(
                *columns, from_ns=from_ns, until_ns=until_ns)
    users = list[User]()
    for tenant, name in sorted({(one.usage.tenant, one.usage.user) for one in facts}):
        mine = [one for one in facts if (one.usage.tenant, one.usage.user) == (tenant, name)]
        users.append(User(tenant, name, len(mine), sum(one.usage.prompt_tok + one.usage.output_tok for one in mine),
                          sum(one.usage.cost_pusd for one in mine), sum(one.price_pusd for one in mine)))
    assert store.top_users(3) == sorted(users, key=lambda user: -user.cost_pusd)[:3]
    spent, so_far = list[Spent](), dict[str, int]()
    for row in tracker.by("tenant", "slice_ns", from_ns=from_ns, until_ns=until_ns):
        so_far[row.tenant] = so_far.get(row.tenant, 0) + row.price_pusd
        spent.append(Spent(row.tenant, row.slice_ns, row.price_pusd, so_far[row.tenant]))
    assert store.spent(from_ns, until_ns) == spent


def a_key_told_with_two_contents_is_refused_and_nothing_is_lost(make: Make) -> None:
    store = make()
    first = Fact(Usage("k", 5, "t", "m", 3, 2), 7)
    store.add([first])
    other = Fact(Usage("n", 6, "t", "m", 3, 2), 7)
    for bad, error, says in (
        (first._replace(price_pusd=8), Conflict, "usage 'k': stored before as"),
        (Fact(first.usage._replace(at_ns=6), 7), Conflict, "usage 'k': stored before as"),
        (other._replace(price_pusd=2**63), ValueError, "usage 'n': price_pusd 9223372036854775808 is not within"),
        (Fact(other.usage._replace(at_ns=-1), 7), ValueError, "usage 'n': at_ns -1 is not within"),
        (other._replace(price_pusd=9), Conflict, "usage 'n': stored before as"),  # twice in one batch
    ):
        with pytest.raises(error, match=says):
            store.add([other, bad])
        assert [row.requests for row in store.by()] == [1]
    assert store.add([first, other]) == 1
    with pytest.raises(ValueError, match="column 'user' is not one of tenant, model, slice_ns"):
        store.by("user")
