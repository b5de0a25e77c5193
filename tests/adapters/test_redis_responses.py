"""The response cache in Redis against the pure one, on a real redis-server."""

from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.adapters.redis_responses import RedisResponseCache
from workbench.control.cache import CacheKey, Hit, Lead, ResponseCache, Wait, cache_key

EPOCH_NS = 1_790_000_000_123_457_000
US = 1000
UNIQUE = count()
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
STEPS = st.lists(st.tuples(
    st.sampled_from([0, 1, 5, 10, 19, 20]), st.integers(0, 999),
    st.sampled_from(["look", "look", "look", "fill", "fail", "withdraw"]), st.integers(0, 2),
), min_size=12, max_size=40)


def key(number: int) -> CacheKey:
    return cache_key("m", str(number % 2), {"temperature": 0}, f"prompt {number}", "acme")


@SHARED
@given(steps=STEPS, whole=st.booleans())
def test_twins_find_the_same(redis_client: Any, steps: list[tuple[int, int, str, int]], whole: bool) -> None:
    """On whole microseconds; between them the twin finds nothing that the pure one would call too old."""
    pure = ResponseCache(10**6, 20 * US, lead_ns=30 * US)
    shared = RedisResponseCache(redis_client, 20 * US, 30 * US, prefix=f"c{next(UNIQUE)}")
    now_ns, leader, withdrawn = EPOCH_NS, dict[int, str](), 0
    for i, (gap_us, gap_ns, what, number) in enumerate(steps):
        now_ns += gap_us * US + (0 if whole else gap_ns)
        if what == "look":
            ours, theirs = pure.look(now_ns, key(number), f"r{i}"), shared.look(now_ns, key(number), f"r{i}")
            assert ours == theirs if whole else ours == theirs or not isinstance(theirs, Hit)
            if isinstance(theirs, Lead):
                leader[number] = f"r{i}"
        elif what == "fill":
            pure.fill(now_ns, key(number), str(i).encode())
            shared.fill(now_ns, key(number), str(i).encode())
        elif what == "fail" and number in leader:
            while pure.fail(now_ns, key(number)):  # in the pure one who waits would lead next; nobody waits in Redis
                pass
            shared.fail(now_ns, key(number), leader.pop(number))
        elif what == "withdraw" and i > 25 and not withdrawn:
            withdrawn = 1
            dropped = pure.withdraw(now_ns, "m", str(number % 2)), shared.withdraw(now_ns, "m", str(number % 2))
            assert dropped[0] == dropped[1] or not whole


def test_a_leader_given_up_does_not_end_its_successors_flight(redis_client: Any) -> None:
    shared = RedisResponseCache(redis_client, 10**9, 50 * US)
    assert shared.look(EPOCH_NS, key(1), "a") == Lead()
    assert shared.look(EPOCH_NS + 49 * US, key(1), "b") == Wait()
    assert shared.look(EPOCH_NS + 50 * US, key(1), "c") == Lead()
    shared.fail(EPOCH_NS + 51 * US, key(1), "a")
    assert shared.look(EPOCH_NS + 52 * US, key(1), "d") == Wait()
    shared.fail(EPOCH_NS + 53 * US, key(1), "c")
    assert shared.look(EPOCH_NS + 54 * US, key(1), "d") == Lead()


def test_values_are_kept_byte_for_byte_and_every_key_has_an_end(redis_client: Any) -> None:
    shared = RedisResponseCache(redis_client, 10**9, 10**9, grace_ms=5000, largest_bytes=256)
    value = bytes(range(256))
    assert shared.look(EPOCH_NS, key(1), "a") == Lead()
    assert shared.look(EPOCH_NS, key(2), "a") == Lead()
    assert shared.fill(EPOCH_NS, key(1), value)
    assert not shared.fill(EPOCH_NS, key(3), value + b"x")
    assert shared.look(EPOCH_NS, key(1), "a") == Hit(value)
    assert shared.withdraw(EPOCH_NS, "m", "0") == 0
    assert shared.withdraw(EPOCH_NS, "m", "1") == 1
    assert not shared.fill(EPOCH_NS, key(1), value)
    left = {name: redis_client.pttl(name) for name in redis_client.scan_iter()}
    assert len(left) == 3
    assert all(0 < ms <= 6001 for ms in left.values()), left


@pytest.mark.parametrize("wrong", [{"ttl_ns": 999}, {"lead_ns": 0}, {"largest_bytes": 0}, {"grace_ms": 0}])
def test_wrong_parameters_are_one_clear_line(redis_client: Any, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} {next(iter(wrong.values()))}"):
        RedisResponseCache(redis_client, **{"ttl_ns": 10**9, **wrong})
