"""The response cache against references written differently, and what it must never do."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.cache import (
    CacheKey,
    Eviction,
    Hit,
    Lead,
    Lfu,
    Lru,
    ResponseCache,
    Semantic,
    SemanticHit,
    TinyLfu,
    Wait,
    cache_key,
    why_not,
)

TEXT = st.text(max_size=3) | st.sampled_from(['","', "a", "ab", "é", "\ud800"])
VALUE = st.recursive(TEXT | st.integers(-2, 2) | st.none(), lambda inner: st.lists(inner, max_size=2), max_leaves=3)
PARAMETERS = st.dictionaries(TEXT, VALUE, max_size=2)
FIELDS = st.tuples(TEXT, TEXT, PARAMETERS, TEXT, TEXT.filter(bool))
STEPS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 7), st.integers(1, 4)), min_size=12, max_size=60)
EVICTIONS: dict[str, Callable[[], Eviction]] = {"lru": Lru, "lfu": Lfu, "tinylfu": TinyLfu}


def key(number: int, model: str = "m", revision: str = "1", scope: str = "acme") -> CacheKey:
    return cache_key(model, revision, {"temperature": 0}, f"prompt {number}", scope)


@given(FIELDS, FIELDS)
def test_keys_are_equal_exactly_where_everything_is(
    one: tuple[str, str, dict[str, Any], str, str], other: tuple[str, str, dict[str, Any], str, str]
) -> None:
    """Never across tenant, revision or parameters, whatever the strings are: each field of either of two requests."""
    mixed = list(product(*zip(one, other, strict=True)))
    keys = [cache_key(*fields) for fields in mixed]
    for fields, made in zip(mixed, keys, strict=True):
        assert (made == keys[0]) == (fields == mixed[0])
        assert (made == keys[-1]) == (fields == mixed[-1])
        assert (made.digest == keys[0].digest) == (made == keys[0])


def test_the_order_of_parameters_does_not_matter_and_their_values_do() -> None:
    assert cache_key("m", "1", {"a": 1, "b": 2}, "p", "t") == cache_key("m", "1", {"b": 2, "a": 1}, "p", "t")
    different = [{"a": 1}, {"a": "1"}, {"a": [1]}, {"a": None}, {"a": True}, {}, {"b": 1}]
    assert len({cache_key("m", "1", parameters, "p", "t") for parameters in different}) == len(different)


@pytest.mark.parametrize("name", EVICTIONS)
@given(STEPS)
def test_what_is_found_was_filled_under_that_key_and_is_not_too_old(
    name: str, steps: list[tuple[int, int, int]]
) -> None:
    """Values say their key, revision, tenant and time; capacity and accounting hold throughout."""
    cache, now_ns = ResponseCache(60, 20, EVICTIONS[name]()), 0
    for gap_ns, number, size in steps:
        now_ns += gap_ns
        asked = key(number // 4, revision=str(number % 2), scope="ab"[number % 4 // 2])
        found = cache.look(now_ns, asked, "r")
        if isinstance(found, Hit):
            digest, _, filled_ns = found.value.decode().partition(" ")
            assert digest == asked.digest[:8]
            assert now_ns < int(filled_ns) + 20
        else:
            cache.fill(now_ns, asked, f"{asked.digest[:8]} {now_ns:0{3 * size}d}".encode())
        assert cache.used_bytes == sum(len(kept.value) for kept in cache._kept.values()) <= 60


@given(STEPS)
def test_lru_with_a_lifetime_equals_an_ordered_dict(steps: list[tuple[int, int, int]]) -> None:
    cache, now_ns = ResponseCache(10, 25), 0
    order: OrderedDict[int, tuple[bytes, int]] = OrderedDict()
    for gap_ns, number, size in steps:
        now_ns += gap_ns
        for old in [one for one, (_, filled_ns) in order.items() if filled_ns + 25 <= now_ns]:
            del order[old]
        found = cache.look(now_ns, key(number), "r")
        assert isinstance(found, Hit) == (number in order)
        if number in order:
            order.move_to_end(number)
            continue
        cache.fill(now_ns, key(number), b"x" * size)
        while sum(len(value) for value, _ in order.values()) + size > 10:
            order.popitem(last=False)
        order[number] = (b"x" * size, now_ns)


@given(STEPS)
def test_lfu_drops_whoever_was_used_least_then_longest_ago(steps: list[tuple[int, int, int]]) -> None:
    cache, uses, last = ResponseCache(3, 10**9, Lfu()), Counter[int](), dict[int, int]()
    for i, (_, number, _) in enumerate(steps):
        found = cache.look(i, key(number), "r")
        assert isinstance(found, Hit) == (number in last)
        if number not in last:
            cache.fill(i, key(number), b"x")
            if len(last) == 3:
                gone = min(last, key=lambda one: (uses[one], last[one]))
                del uses[gone], last[gone]
        uses[number] += 1
        last[number] = i


def hit_frac(eviction: Eviction) -> float:
    """Popular prompts (Zipf-like) with a pass over many others in between, 100 places."""
    cache, draw = ResponseCache(100, 10**18, eviction), Random(5)
    for i in range(20_000):
        number = 10_000 + i if i % 2 else int(draw.paretovariate(0.7))
        if not isinstance(cache.look(i, key(number), "r"), Hit):
            cache.fill(i, key(number), b"x")
    return cache.hits / (cache.hits + cache.misses)


def test_tinylfu_keeps_the_popular_ones_where_a_scan_washes_out_lru() -> None:
    assert hit_frac(TinyLfu()) > 1.1 * hit_frac(Lru())


@given(st.lists(st.integers(0, 40), max_size=150))
def test_the_sketch_never_estimates_too_low(asked: list[int]) -> None:
    sketch = TinyLfu(16)  # 160 asks to the first halving
    for number in asked:
        sketch.asked(key(number).digest)
    for number, count in Counter(asked).items():
        assert sketch.estimate(key(number).digest) >= count


@given(st.lists(st.tuples(st.sampled_from(["look", "look", "fill", "fail", "cancel"]), st.integers(0, 2)), max_size=60))
def test_single_flight_one_leads_and_nobody_is_forgotten(steps: list[tuple[str, int]]) -> None:
    """At most one computes for a key; everybody who waits is named once, unless it cancelled."""
    cache = ResponseCache(100, 3, lead_ns=10**9)
    leads: set[int] = set()
    waiting: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for i, (what, number) in enumerate(steps):
        if what == "look":
            found = cache.look(i, key(number), f"r{i}")
            if isinstance(found, Lead):
                assert number not in leads
                leads.add(number)
            elif isinstance(found, Wait):
                assert number in leads
                waiting[number].append(f"r{i}")
        elif what == "cancel":
            gone = waiting[number].pop() if waiting[number] else "nobody"
            cache.cancel(i, key(number), gone)
        elif number in leads and what == "fill":
            assert cache.fill(i, key(number), b"x") == tuple(waiting[number])
            leads.discard(number)
            waiting[number] = []
        elif number in leads:
            successor = cache.fail(i, key(number))
            assert successor == (waiting[number].pop(0) if waiting[number] else None)
            if successor is None:
                leads.discard(number)


def test_a_leader_never_heard_of_is_given_up_and_forgotten() -> None:
    cache = ResponseCache(100, 1000, lead_ns=50)
    assert cache.look(0, key(1), "a") == Lead()
    assert cache.look(49, key(1), "b") == Wait()
    assert cache.look(50, key(1), "c") == Lead()
    assert cache.fill(60, key(1), b"x") == ("b",)
    for i in range(5000):
        assert cache.look(100 * i + 100, key(10 + i), "a") == Lead()
    assert len(cache._flights) < 5


def test_a_withdrawn_revision_is_dropped_and_what_is_on_its_way_is_not_kept() -> None:
    cache = ResponseCache(100, 1000)
    assert cache.warm(0, [(key(1), b"x"), (key(2), b"x"), (key(1, revision="2"), b"x"), (key(9), b"y" * 101)]) == 3
    assert cache.look(0, key(3), "a") == Lead()
    assert cache.look(0, key(3), "b") == Wait()
    assert cache.withdraw(1, "m", "1") == 2
    assert cache.fill(2, key(3), b"x") == ("b",)  # they asked for that revision
    assert cache.look(3, key(3), "c") == Lead()
    assert cache.look(3, key(1, revision="2"), "d") == Hit(b"x")
    assert (len(cache), cache.used_bytes) == (1, 1)


def test_warmed_values_are_hits_until_their_time() -> None:
    cache = ResponseCache(100, 1000)
    cache.warm(0, [(key(1), b"x")])
    assert cache.look(999, key(1), "a") == Hit(b"x")
    assert cache.look(1000, key(1), "a") == Lead()


@pytest.mark.parametrize(
    ("parameters", "time_dependent", "why"),
    [
        ({"temperature": 0}, False, ""),
        ({"temperature": 0.0, "tools": []}, False, ""),
        ({"temperature": 0.2}, False, "its temperature is not 0"),
        ({}, False, "its temperature is not 0"),  # the engine's default is not 0
        ({"temperature": 0, "tools": [{"name": "clock"}]}, False, "it may call tools"),
        ({"temperature": 0}, True, "it depends on the time"),
    ],
)
def test_what_must_not_be_kept(parameters: dict[str, Any], time_dependent: bool, why: str) -> None:
    assert why_not(parameters, time_dependent=time_dependent) == why


def test_the_semantic_model_hits_and_errs_as_often_as_was_measured() -> None:
    class Evenly:
        """Each of 1,000 equal parts once."""

        def __init__(self) -> None:
            self.i = 0

        def random(self) -> float:
            self.i += 1
            return (self.i - 1) % 1000 / 1000

    model = Semantic(lookups=200, hits=60, false_hits=9, randomness=Evenly())
    assert model.look(0, "pool") is None  # nothing is kept yet
    for _ in range(999):
        model.look(0, "other")
    model.keep(0, "pool")
    found = Counter(model.look(0, "pool") for _ in range(1000))
    assert found == {SemanticHit(True): 45, SemanticHit(False): 255, None: 700}
    model.withdraw(0, "pool")
    assert not any(model.look(0, "pool") for _ in range(1000))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: cache_key("m", "1", {}, "p", ""), "scope '': name the tenant"),
        (lambda: cache_key("m", "1", {"a": object()}, "p", "t"), "object is not JSON"),
        (lambda: cache_key("m", "1", {"a": float("nan")}, "p", "t"), "cannot be part of a cache key"),
        (lambda: cache_key("m", "1", {"a": {1: 2}}, "p", "t"), "name 1 is not a string"),
        (lambda: ResponseCache(0, 1), "capacity_bytes 0"),
        (lambda: ResponseCache(1, 0), "ttl_ns 0"),
        (lambda: TinyLfu(3), "width 3: must be at least 16"),
        (lambda: Semantic(10, 3, 4, Random(1)), "false_hits 4, hits 3"),
        (lambda: Semantic(0, 0, 0, Random(1)), "lookups 0"),
        (lambda: (cache := ResponseCache(1, 1)).look(5, key(1), "a") and cache.look(4, key(1), "a"), "back from 5"),
        (lambda: (cache := ResponseCache(1, 1)).fail(5, key(1)) or cache.warm(4, []), "back from 5 to 4"),
    ],
)
def test_wrong_input_to_the_cache_is_one_clear_line(call: Callable[[], object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        call()
