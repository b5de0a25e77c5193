"""The leaky bucket in Redis: equal where a token is a whole number of microseconds, never early elsewhere."""

from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.adapters.redis_shaper import RedisShaper
from workbench.control.limits import Gcra, Shaper

EPOCH_NS = 1_790_000_000_123_457_000
US = 1000
UNIQUE = count()
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
GAPS_US = st.sampled_from([0, 0, 1, 2, 3, 5, 8, 13, 29])
ASKS = st.lists(st.tuples(GAPS_US, st.integers(0, 999), st.integers(1, 7)), min_size=12, max_size=30)


@SHARED
@given(asks=ASKS, token_us=st.integers(1, 9))
def test_twins_answer_alike_where_a_token_is_whole_microseconds(
    redis_client: Any, asks: list[tuple[int, int, int]], token_us: int
) -> None:
    rule, now_ns = Shaper(1, token_us * US, 6, max_wait_ns=60 * US), EPOCH_NS
    shared = RedisShaper(redis_client, Shaper(1, token_us * US, 6, max_wait_ns=60 * US), prefix=f"s{next(UNIQUE)}")
    for gap_us, _, amount in asks:
        now_ns += gap_us * US
        assert shared.ask(now_ns, "k", amount) == rule.ask(now_ns, "k", amount)


@SHARED
@given(asks=ASKS, amount=st.integers(1, 9), per_us=st.integers(1, 40))
def test_nobody_leaves_before_the_bucket_would_admit(
    redis_client: Any, asks: list[tuple[int, int, int]], amount: int, per_us: int
) -> None:
    """Any rate, any nanosecond: the exact bucket admits every departure at the time that Redis says."""
    bucket, now_ns, last_ns = Gcra(amount, per_us * US, 6), EPOCH_NS, 0
    shared = RedisShaper(redis_client, Shaper(amount, per_us * US, 6, max_wait_ns=80 * US), prefix=f"s{next(UNIQUE)}")
    for gap_us, gap_ns, n in asks:
        now_ns += gap_us * US + gap_ns
        slot = shared.ask(now_ns, "k", n)
        if slot.admitted:
            assert slot.wait_ns is not None
            out_ns = now_ns + slot.wait_ns
            assert 0 <= slot.wait_ns <= 80 * US
            assert out_ns >= last_ns
            assert bucket.look(out_ns, "k", n).admitted
            bucket.take(out_ns, "k", n)
            last_ns = out_ns
        else:
            assert slot.wait_ns is None or slot.wait_ns > 80 * US - US


def test_the_queues_key_has_an_end(redis_client: Any) -> None:
    shared = RedisShaper(redis_client, Shaper(1, 10**9, 1), grace_ms=5000)
    assert [shared.ask(EPOCH_NS, "k").wait_ns for _ in range(3)] == [0, 10**9, 2 * 10**9]
    assert 7000 < redis_client.pttl("shaper:k") <= 8001
