"""The Redis twins against the pure policies, on a real redis-server."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.adapters.redis_limits import RedisLimits
from workbench.control.limits import (
    Answer,
    FixedWindow,
    Gcra,
    Level,
    Limiter,
    Limits,
    Meter,
    Reservation,
    SlidingCounter,
    SlidingLog,
    UnknownLevel,
    UnknownReservation,
)

EPOCH_NS = 1_790_000_000_123_457_000  # a day in 2026: where doubles no longer hold nanoseconds
US = 1000
EXPIRE_NS = 90 * US
UNIQUE = count()
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)

RULES: dict[str, Callable[[], list[Level]]] = {
    "gcra": lambda: [Level("k", Gcra(7, 90 * US, 9))],
    "gcra-slow": lambda: [Level("k", Gcra(3, 1000 * US, 4))],
    "fixed": lambda: [Level("k", FixedWindow(9, 60 * US))],
    "counter": lambda: [Level("k", SlidingCounter(9, 60 * US))],
    "log": lambda: [Level("k", SlidingLog(9, 60 * US))],
    "hierarchy": lambda: [
        Level("tenant", SlidingCounter(15, 90 * US)), Level("user", Gcra(7, 90 * US, 9)),
        Level("model", SlidingLog(12, 50 * US)),
        Level("requests", FixedWindow(4, 60 * US), by="user", counts="requests"),
    ],
}
# (gap in whole microseconds and ns beyond, what, key, amount or index of the reservation, used)
STEPS = st.lists(st.tuples(
    st.sampled_from([0, 0, 1, 2, 3, 5, 8, 13, 29, 31]), st.integers(0, 999),
    st.sampled_from(["ask", "ask", "reserve", "commit", "refund"]),
    st.sampled_from("ab"), st.integers(1, 12), st.integers(0, 14),
), min_size=12, max_size=30)
Step = tuple[int, int, str, str, int, int]


def twin(client: Any, levels: list[Level], **more: Any) -> RedisLimits:
    return RedisLimits(client, levels, prefix=f"t{next(UNIQUE)}", expire_ns=more.pop("expire_ns", EXPIRE_NS), **more)


def settle(limiter: Limiter, now_ns: int, what: str, held: Reservation, used: int) -> str:
    try:
        if what == "commit":
            limiter.commit(now_ns, held, used)
        else:
            limiter.refund(now_ns, held)
    except UnknownReservation:
        return "unknown"
    return "settled"


@pytest.mark.parametrize("name", RULES)
@SHARED
@given(steps=STEPS)
def test_twins_answer_alike_on_whole_microseconds(redis_client: Any, name: str, steps: list[Step]) -> None:
    """Every answer, retry-after and remaining included; a retry-after in the middle of a microsecond is rounded up."""
    levels = RULES[name]()
    pure, shared, now_ns = Limits(RULES[name](), EXPIRE_NS), twin(redis_client, levels), EPOCH_NS
    names = {level.key_name for level in levels}
    held: list[tuple[Reservation, Reservation]] = []
    for gap_us, _, what, key, amount, used in steps:
        now_ns += gap_us * US
        keys = {one: key if one == "user" else "shared" for one in names}
        if what == "ask":
            alike(shared.ask(now_ns, keys, amount), pure.ask(now_ns, keys, amount))
        elif what == "reserve":
            ours, theirs = pure.reserve(now_ns, keys, amount), shared.reserve(now_ns, keys, amount)
            if isinstance(ours, Answer):
                assert isinstance(theirs, Answer)
                alike(theirs, ours)
            else:
                assert isinstance(theirs, Reservation)
                assert theirs[1:] == ours[1:]
                held.append((ours, theirs))
        elif held:
            one, other = held[amount % len(held)]
            assert settle(shared, now_ns, what, other, used) == settle(pure, now_ns, what, one, used)


def alike(theirs: Answer, ours: Answer) -> None:
    """Which of two levels refuses longer may differ where both waits end in the same microsecond."""
    assert theirs._replace(level="") == rounded(ours)._replace(level="")
    assert bool(theirs.level) == bool(ours.level)


def rounded(answer: Answer) -> Answer:
    wait_ns = answer.retry_after_ns
    return answer if wait_ns is None else answer._replace(retry_after_ns=-(-wait_ns // US) * US)


@pytest.mark.parametrize("name", RULES)
@SHARED
@given(steps=STEPS)
def test_between_microseconds_the_twin_admits_nothing_that_the_policy_would_refuse(
    redis_client: Any, name: str, steps: list[Step]
) -> None:
    """The pure policy in nanoseconds, charged with exactly what the twin admitted, would have admitted it too."""
    levels = RULES[name]()
    pure, shared, now_ns = Limits(RULES[name]()), twin(redis_client, levels, expire_ns=10**9), EPOCH_NS
    names = {level.key_name for level in levels}
    held: list[tuple[Reservation, Reservation]] = []
    for gap_us, gap_ns, what, key, amount, used in steps:
        now_ns += gap_us * US + gap_ns
        keys = {one: key if one == "user" else "shared" for one in names}
        if what in ("ask", "reserve"):
            theirs = shared.reserve(now_ns, keys, amount)
            if isinstance(theirs, Reservation):
                ours = pure.reserve(now_ns, keys, amount)
                assert isinstance(ours, Reservation), (now_ns, keys, amount, ours)
                held.append((ours, theirs))
            elif theirs.retry_after_ns is not None:
                now_ns += theirs.retry_after_ns  # the first whole microsecond at which the twin admits
                assert now_ns % US == 0
                assert not shared.ask(now_ns - 1, keys, amount).admitted
                assert shared.ask(now_ns, keys, amount).admitted
                assert pure.ask(now_ns, keys, amount).admitted
        elif held:
            one, other = held.pop(amount % len(held))
            assert settle(shared, now_ns, what, other, used) == settle(pure, now_ns, what, one, used)


@SHARED
@given(gaps_us=st.lists(st.integers(2**30, 2**39), min_size=30, max_size=40), tenths=st.integers(1, 9))
def test_a_counter_is_exact_beyond_what_doubles_multiply(redis_client: Any, gaps_us: list[int], tenths: int) -> None:
    """Amount x window is 2^89 here, and a double holds 2^53: both sides of the limit, one apart."""
    rule = SlidingCounter(2**49 + 12_345, (2**40 + 7) * US)
    pure, shared, now_ns = Limits([Level("k", rule)]), twin(redis_client, [Level("k", rule)]), EPOCH_NS
    for gap_us in gaps_us:
        now_ns += gap_us * US
        left = pure.ask(now_ns, "x", rule.amount + 1).remaining
        for amount in (left + 1, left * tenths // 10, left - left * tenths // 10 + 1, left - left * tenths // 10):
            if amount:
                assert shared.ask(now_ns, "x", amount) == rounded(pure.ask(now_ns, "x", amount))


def test_an_ask_is_one_evalsha_whatever_the_levels(redis_client: Any) -> None:
    limits = twin(redis_client, RULES["hierarchy"]())
    keys = {"tenant": "a", "user": "b", "model": "c"}
    limits.ask(EPOCH_NS, keys, 1)  # loads the script
    redis_client.config_resetstat()
    for i in range(50):
        limits.ask(EPOCH_NS + i, keys, 1)
    called = {name: facts["calls"] for name, facts in redis_client.info("commandstats").items()}
    assert called["cmdstat_evalsha"] == 50
    assert not {"cmdstat_eval", "cmdstat_script|load", "cmdstat_get", "cmdstat_set"} & called.keys()


@pytest.mark.parametrize("name", RULES)
def test_every_key_has_an_end(redis_client: Any, name: str) -> None:
    levels = RULES[name]()
    limits = twin(redis_client, levels, grace_ms=5000)
    keys = {level.key_name: "x" for level in levels}
    held = [limits.reserve(EPOCH_NS + i * US, keys, 1) for i in range(3)]
    for one, used in zip(held[:2], (0, 3), strict=True):
        assert isinstance(one, Reservation)
        limits.commit(EPOCH_NS + 9 * US, one, used)
    left = {key: redis_client.pttl(key) for key in redis_client.scan_iter()}
    assert len(left) >= 2
    assert all(0 < ms <= 5000 + 10 for ms in left.values()), left  # the longest rule here is over after 1.3 ms


def test_idle_keys_vanish(redis_client: Any) -> None:
    limits = twin(redis_client, RULES["hierarchy"](), grace_ms=1)
    limits.ask(EPOCH_NS, {"tenant": "a", "user": "b", "model": "c"}, 2)
    while redis_client.keys():  # a few ms; the suite's own time limit is the end of it
        pass


@pytest.mark.parametrize("name", ["gcra", "fixed", "counter", "log"])
def test_a_late_clock_gains_nothing(redis_client: Any, name: str) -> None:
    """Two gateways whose clocks differ by a second: who is late is not admitted on top."""
    limits = twin(redis_client, [Level("k", {
        "gcra": Gcra(9, 10**10), "fixed": FixedWindow(9, 10**10), "counter": SlidingCounter(9, 10**10),
        "log": SlidingLog(9, 10**10),
    }[name])])
    edge_ns = EPOCH_NS // 10**10 * 10**10 + 10**10
    assert limits.ask(edge_ns, "x", 9).admitted
    late = limits.ask(edge_ns - 10**9, "x", 1)
    assert not late.admitted
    assert late.retry_after_ns


@pytest.mark.parametrize("name", ["gcra", "fixed", "counter", "log"])
def test_many_gateways_at_once_never_overshoot(redis_client: Any, redis_socket: str, name: str) -> None:
    """Post-paid limits overshoot here; reservations on a shared server do not."""
    import redis

    rules: dict[str, Meter] = {
        "gcra": Gcra(1000, 3600 * 10**9), "fixed": FixedWindow(1000, 3600 * 10**9),
        "counter": SlidingCounter(1000, 3600 * 10**9), "log": SlidingLog(1000, 3600 * 10**9),
    }
    prefix = f"t{next(UNIQUE)}"

    def gateway(number: int) -> int:
        with redis.Redis(unix_socket_path=redis_socket) as client:
            limits = RedisLimits(client, [Level("k", rules[name])], prefix=prefix)
            return sum(isinstance(limits.reserve(EPOCH_NS + i, "x", 10), Reservation) for i in range(40))

    with ThreadPoolExecutor(8) as pool:
        assert 10 * sum(pool.map(gateway, range(8))) == 1000


def test_keys_never_collide(redis_client: Any) -> None:
    limits = twin(redis_client, [Level("held", SlidingLog(1, 10**9)), Level("k", SlidingLog(1, 10**9))])
    for first, second in (("a", "b:a"), ("a:b", "a"), ("entries:a", "state:a")):
        assert limits.ask(EPOCH_NS, {"held": first, "k": second}).admitted
    held = limits.reserve(EPOCH_NS, {"held": "1", "k": "1"}, 1)
    assert isinstance(held, Reservation)
    limits.refund(EPOCH_NS, held)
    with pytest.raises(UnknownReservation, match="settle each once"):
        limits.refund(EPOCH_NS, held)


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        ([], "at least one"),
        ([Level("a:b", Gcra(1, US))], "without a colon"),
        ([Level("a", Gcra(1, 1500))], "per_ns 1500: Redis counts whole microseconds; give a multiple of 1000"),
        ([Level("a", FixedWindow(2**51, US))], "amount .*: more than Redis counts exactly"),
        ([Level("a", Gcra(1, 10**9 * US, 2**30))], "burst .*: more than Redis counts exactly"),
    ],
)
def test_what_redis_cannot_hold_is_refused(redis_client: Any, levels: list[Level], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        RedisLimits(redis_client, levels)


def test_bad_asks_are_refused_before_redis_is_asked(redis_client: Any) -> None:
    limits = twin(redis_client, RULES["hierarchy"]())
    with pytest.raises(UnknownLevel, match="did you mean 'tenant'"):
        limits.ask(EPOCH_NS, {"tenat": "a", "user": "b", "model": "c"})
    with pytest.raises(ValueError, match="amount 0"):
        limits.ask(EPOCH_NS, {"tenant": "a", "user": "b", "model": "c"}, 0)
    assert not redis_client.keys()
