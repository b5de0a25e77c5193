"""Tenants and tiers: what they resolve to, who is kept apart from whom, and what a wrong book is told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.queueing.manager import QueueManager
from workbench.control.request import Waiting
from workbench.control.scheduling.fair import StartTimeFair
from workbench.control.scheduling.ordered import Fifo
from workbench.control.scheduling.sla import Attainment
from workbench.control.tenants.book import Tenants
from workbench.control.tenants.standard import FACTS, SECOND_NS
from workbench.control.tenants.tier import APART, FLAGS, Tier

CUSTOMERS: dict[str, dict[str, Any]] = {
    "acme": {"tier": "enterprise", "weight": 32, "flags": {"hedging": False}},
    "bolt": {"tier": "enterprise", "replicas": "tenant", "cache": "tier"},
    "cafe": {"tier": "pro", "waiting": 7},
    "dune": {"tier": "free"},
}
BOOK = Tenants.from_facts({**FACTS, "tenants": CUSTOMERS})


def test_a_tenants_own_values_replace_its_tiers_one_by_one() -> None:
    acme, tier = BOOK.plan("acme"), BOOK.tiers["enterprise"]
    assert (acme.weight, tier.weight) == (32, 16)
    assert (acme.ttft_ns, acme.replicas) == (tier.ttft_ns, tier.replicas)
    assert not BOOK.enabled("acme", "hedging")
    assert BOOK.enabled("acme", "batch")  # the tier's other flags stay
    assert BOOK.enabled("bolt", "hedging")


def test_who_is_not_in_the_book_has_the_default_tier_or_is_refused() -> None:
    assert BOOK.tier_of("stranger") == "free"
    assert BOOK.plan("stranger") == BOOK.tiers["free"]
    closed = Tenants(FACTS["tiers"], CUSTOMERS)
    with pytest.raises(ValueError, match="tenant 'acne' is unknown; did you mean 'acme'"):
        closed.plan("acne")


def test_the_facts_make_an_equal_book_again() -> None:
    again = Tenants.from_facts(BOOK.as_facts())
    assert again.as_facts() == BOOK.as_facts()
    assert all(again.plan(name) == BOOK.plan(name) for name in (*BOOK.names, "stranger"))


def test_other_policies_take_the_book_as_it_is() -> None:
    assert StartTimeFair(weights=BOOK.weights(), tier_weights=BOOK.tier_weights()).counter("acme") == 0
    assert QueueManager(Fifo(), tenant_limits=BOOK.waiting_limits()).tenant_limits == {"cafe": 7, "dune": 20}
    assert list(Attainment(BOOK.targets(), 60 * SECOND_NS).targets) == ["free", "pro", "enterprise"]


@given(st.integers(-9, 9), st.sampled_from([*CUSTOMERS, "stranger"]))
def test_a_hint_never_leaves_the_classes_of_its_tier(hint: int, tenant: str) -> None:
    stamped = BOOK.stamped(Waiting("a", tenant, priority=hint))
    best, worst = BOOK.plan(tenant).classes
    assert best <= stamped.priority <= worst
    if tenant == "dune":
        assert stamped.priority == 2  # no flag, no hints
    if tenant == "acme":
        assert stamped.priority == min(max(0, hint), 2)


@pytest.mark.parametrize(("own_ns", "stamped_ns"), [(None, 125), (7, 7), (999, 125)])
def test_the_earlier_deadline_travels(own_ns: int | None, stamped_ns: int) -> None:
    own = None if own_ns is None else own_ns * SECOND_NS
    stamped = BOOK.stamped(Waiting("a", "dune", arrived_ns=5 * SECOND_NS, deadline_ns=own))
    assert stamped.deadline_ns == stamped_ns * SECOND_NS
    assert stamped.tier == "free"
    assert BOOK.stamped(Waiting("a", "acme", deadline_ns=own)).deadline_ns == own


@given(st.lists(st.tuples(st.sampled_from(["shared", "free", "tenant:a", "tier:free", "a", "b"]),
                          st.sampled_from(APART), st.sampled_from(APART)), unique_by=lambda row: row[0]))
def test_two_share_only_if_both_agreed(rows: list[tuple[str, str, str]]) -> None:
    """Also where a tenant is named like a tier or like a scope."""
    book = Tenants({"free": {}, "pro": {}}, {
        name: {"tier": ("free", "pro")[i % 2], "replicas": replicas, "cache": cache}
        for i, (name, replicas, cache) in enumerate(rows)
    })
    for a in book.names:
        for b in book.names:
            for told, kind in ((book.pool, "replicas"), (book.cache_scope, "cache")):
                ways = getattr(book.plan(a), kind), getattr(book.plan(b), kind)
                agreed = ways == ("shared", "shared") or (
                    ways == ("tier", "tier") and book.tier_of(a) == book.tier_of(b))
                assert (told(a) == told(b)) == (a == b or agreed)


def wrong(tenants: dict[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
    return {**FACTS, "tenants": tenants or {}, **facts}


@pytest.mark.parametrize(("facts", "told"), [
    (wrong({"a": {}}), r"tenants\.a: has no tier; known: free, pro, enterprise"),
    (wrong({"a": {"teir": "pro"}}), r"tenants\.a: has no tier; 'teir' is unknown; did you mean 'tier'"),
    (wrong({"a": {"tier": "por"}}), r"tenants\.a\.tier: 'por' is unknown; did you mean 'pro'"),
    (wrong({"a": {"tier": "pro", "weight": 0}}), r"tenants\.a\.weight: 0 is not a whole number of at least 1"),
    (wrong({"a": {"tier": "pro", "weight": -3}}), r"tenants\.a\.weight: -3"),
    (wrong({"a": {"tier": "pro", "weight": 1.5}}), r"tenants\.a\.weight: 1\.5"),
    (wrong({"a": {"tier": "pro", "weight": None}}), r"tenants\.a\.weight: None"),
    (wrong({"a": {"tier": "pro", "wieght": 2}}), r"tenants\.a\.wieght: unknown key; did you mean 'weight'"),
    (wrong({"a": {"tier": "pro", "flags": {"batsh": True}}}), r"a\.flags\.batsh: unknown; did you mean 'batch'"),
    (wrong({"a": {"tier": "pro", "flags": {"batch": 1}}}), r"flags\.batch: 1 is neither true nor false"),
    (wrong({"a": {"tier": "pro", "flags": "batch"}}), r"tenants\.a\.flags: 'batch' is not a table"),
    (wrong({"a": {"tier": "pro", "priority": 7}}), r"tenants\.a\.priority: 7 lies outside"),
    (wrong({"a": {"tier": "pro", "target_ppm": 1_000_001}}), r"target_ppm: 1000001 is above 1000000"),
    (wrong({"a": {"tier": "pro", "cache": "tennant"}}), r"a\.cache: 'tennant' is unknown; did you mean 'tenant'"),
    (wrong({"a": "pro"}), r"tenants\.a: 'pro' is not a table"),
    (wrong(default_tier="fre"), r"default_tier: 'fre' is unknown; did you mean 'free'"),
    (wrong(tiers={}), "tiers: none"),
    (wrong(tiers={"free": {"weight": 0}}, default_tier=None), r"tiers\.free\.weight: 0"),
    (wrong(teirs={}), "teirs: unknown key; did you mean 'tiers'"),
])
def test_a_wrong_book_is_one_clear_line(facts: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told) as error:
        Tenants.from_facts(facts)
    assert "\n" not in str(error.value)


def test_an_unknown_flag_is_an_error_not_off() -> None:
    with pytest.raises(ValueError, match="did you mean 'streaming'"):
        BOOK.enabled("acme", "steaming")
    assert all(not Tier().flags.get(flag, False) for flag in FLAGS)
