"""Routers against references written differently, and what each promises."""

from collections import Counter
from collections.abc import Callable, Iterable
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.request import Waiting
from workbench.control.routing.affine import PrefixAffine, SessionAffine
from workbench.control.routing.hashing import Ring, point
from workbench.control.routing.least import LeastOutstanding, PowerOfChoices, drawn
from workbench.control.routing.prefixes import KvAware, LongestPrefix, PrefixRecord
from workbench.control.routing.protocol import Candidate, Router, Signal
from workbench.control.routing.turns import RoundRobin, SmoothWeighted

WEIGHTS = st.lists(st.integers(1, 7), min_size=1, max_size=6)
FLEETS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 900), st.integers(1, 5)), min_size=1, max_size=8)
ASK = Waiting("r", prompt_tok=100, estimated_tok=50)


def fleet(rows: list[tuple[int, int, int]], tok_scale: int = 1, weight_scale: int = 1) -> list[Candidate]:
    return [Candidate(i, out, tok * tok_scale, None, weight * weight_scale)
            for i, (out, tok, weight) in enumerate(rows)]


def idle(n: int) -> list[Candidate]:
    return [Candidate(i) for i in range(n)]


def test_round_robin_passes_over_and_does_not_make_up() -> None:
    router = RoundRobin()
    assert [router.pick(0, ASK, idle(3)) for _ in range(4)] == [0, 1, 2, 0]
    assert router.pick(0, ASK, [Candidate(0), Candidate(2)]) == 2
    assert router.pick(0, ASK, idle(3)) == 0


@given(WEIGHTS, st.integers(1, 50))
def test_smooth_weights_give_each_its_weight_and_ignore_scale(weights: list[int], scale: int) -> None:
    one, many = SmoothWeighted(), SmoothWeighted()
    total, picks = sum(weights), list[int]()
    for _ in range(3 * total):
        picks.append(one.pick(0, ASK, [Candidate(i, weight=w) for i, w in enumerate(weights)]))
        assert picks[-1] == many.pick(0, ASK, [Candidate(i, weight=w * scale) for i, w in enumerate(weights)])
    for turn in range(3):
        assert Counter(picks[turn * total:(turn + 1) * total]) == dict(enumerate(weights))


def test_smooth_weights_are_spread_as_nginx_does() -> None:
    router = SmoothWeighted()
    picks = [router.pick(0, ASK, [Candidate(0, weight=5), Candidate(1), Candidate(2)]) for _ in range(7)]
    assert picks == [0, 0, 1, 0, 2, 0, 0]  # the example of nginx's commit message


def test_a_weight_must_be_positive() -> None:
    with pytest.raises(ValueError, match="replica 3: weight 0"):
        SmoothWeighted().pick(0, ASK, [Candidate(3, weight=0)])


@given(FLEETS)
def test_least_outstanding_equals_the_least_fraction(rows: list[tuple[int, int, int]]) -> None:
    requests = LeastOutstanding().pick(0, ASK, fleet(rows))
    tokens = LeastOutstanding("tokens").pick(0, ASK, fleet(rows))
    assert requests == min(range(len(rows)), key=lambda i: (Fraction(rows[i][0] + 1, rows[i][2]), i))
    assert tokens == min(range(len(rows)), key=lambda i: (Fraction(rows[i][1] + 150, rows[i][2]), i))


@given(FLEETS, st.integers(1, 1000))
def test_least_outstanding_does_not_know_the_unit(rows: list[tuple[int, int, int]], scale: int) -> None:
    """All weights times a constant; all token counts, the request's too, times a constant."""
    big = ASK._replace(prompt_tok=100 * scale, estimated_tok=50 * scale)
    picks = LeastOutstanding("tokens").pick(0, ASK, fleet(rows))
    assert LeastOutstanding("tokens").pick(0, big, fleet(rows, tok_scale=scale)) == picks
    assert LeastOutstanding("tokens").pick(0, ASK, fleet(rows, weight_scale=scale)) == picks
    drawn_ones = PowerOfChoices(Random(7), by="tokens").pick(0, ASK, fleet(rows))
    assert PowerOfChoices(Random(7), by="tokens").pick(0, big, fleet(rows, tok_scale=scale)) == drawn_ones


def test_ties_go_in_turn() -> None:
    router = LeastOutstanding()
    assert [router.pick(0, ASK, idle(3)) for _ in range(6)] == [0, 1, 2, 0, 1, 2]


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 999))
def test_drawn_ones_differ(n: int, choices: int, seed: int) -> None:
    found = drawn(idle(n), choices, Random(seed))
    assert found == sorted(set(found))
    assert len(found) == min(n, choices)


def test_every_pair_is_as_likely() -> None:
    randomness, n, trials = Random(1), 5, 20_000
    seen = Counter(tuple(c.replica for c in drawn(idle(n), 2, randomness)) for _ in range(trials))
    mean = trials / 10
    assert len(seen) == 10
    assert all(abs(count - mean) < 4 * (mean * 0.9) ** 0.5 for count in seen.values())


def test_two_choices_never_take_the_busiest_and_no_more_than_their_share() -> None:
    """One says that it is idle: it gets 2/n of the requests and not all of them."""
    router, n, trials = PowerOfChoices(Random(3)), 8, 20_000
    candidates = [Candidate(0, 0), *(Candidate(i, 50) for i in range(1, n - 1)), Candidate(n - 1, 99)]
    seen = Counter(router.pick(0, ASK, candidates) for _ in range(trials))
    assert seen[n - 1] == 0
    assert abs(seen[0] - trials * 2 / n) < 4 * (trials * 2 / n * (1 - 2 / n)) ** 0.5


@given(st.sets(st.integers(0, 20), min_size=2, max_size=8))
def test_a_session_stays_and_moves_only_if_its_replica_goes(replicas: set[int]) -> None:
    router, gone, moved = SessionAffine(), min(replicas), 0
    everyone = [Candidate(r) for r in sorted(replicas)]
    for i in range(60):
        item = ASK._replace(session=f"s{i}", request_id=f"r{i}")
        before = router.pick(0, item, everyone)
        after = SessionAffine().pick(9, item._replace(request_id="another"), [c for c in everyone if c.replica != gone])
        assert after == before if before != gone else after != gone
        moved += before == gone
    assert moved < 60


def test_sessions_are_spread_evenly() -> None:
    router, n, trials = SessionAffine(), 8, 8000
    seen = Counter(router.pick(0, ASK._replace(session=f"s{i}"), idle(n)) for i in range(trials))
    assert all(abs(seen[r] - trials / n) < 4 * (trials / n) ** 0.5 for r in range(n))


@given(st.sets(st.integers(0, 30), min_size=2, max_size=6), st.integers(0, 2**64 - 1))
def test_the_ring_equals_sorting_by_distance(replicas: set[int], place: int) -> None:
    ring, left = Ring(sorted(replicas), 8), set(replicas)
    for expected in walk(replicas, place, 8):
        assert ring.owner(place, left) == expected
        left.remove(expected)
    assert ring.owner(place, left) is None


def walk(replicas: Iterable[int], place: int, places: int) -> list[int]:
    """Every replica, the nearest first."""
    return sorted(replicas, key=lambda r: min((point(f"{r}/{i}") - place - 1) % 2**64 for i in range(places)))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=80), st.integers(1, 6),
       st.sampled_from([1_000_000, 1_250_000, 2_000_000]))
def test_a_hot_prefix_never_exceeds_the_bound(events: list[tuple[int, int]], n: int, bound_ppm: int) -> None:
    """Mirrokni's bound after every pick, and whoever has room at home is at home."""
    router, out = PrefixAffine(bound_ppm=bound_ppm), [0] * n
    for prefix, finished in events:
        if finished < n and out[finished]:
            out[finished] -= 1
        item = ASK._replace(prefix_ids=(prefix, 99))
        most = -(-Fraction(bound_ppm, 1_000_000) * (sum(out) + 1) // n)
        got = router.pick(0, item, [Candidate(i, busy) for i, busy in enumerate(out)])
        assert got == next(r for r in walk(range(n), router.place(item), 64) if out[r] < most)
        out[got] += 1
        assert out[got] <= most


Ids = list[list[int]]
PROMPTS = st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 2), min_size=1, max_size=5)), max_size=25)


def chained(tokens: list[int]) -> tuple[int, ...]:
    """Ids as the schema defines them: each stands for everything before it."""
    return tuple(hash(tuple(tokens[:i + 1])) for i in range(len(tokens)))


@given(PROMPTS, st.lists(st.integers(0, 2), max_size=5), st.integers(1, 12))
def test_the_record_equals_an_lru_of_blocks(sent: list[tuple[int, list[int]]], asked: list[int], blocks: int) -> None:
    record, kept = PrefixRecord(blocks), {r: list[int]() for r in range(3)}
    for replica, tokens in sent:
        ids = chained(tokens)
        record.sent(replica, ids)
        kept[replica] = ([b for b in kept[replica] if b not in ids] + list(reversed(ids)))[-blocks:]
    ids = chained(asked)
    expected = {r: next((i for i, b in enumerate(ids) if b not in kept[r]), len(ids)) for r in kept}
    assert record.matched(ids) == {r: length for r, length in expected.items() if length}
    assert len(record) == len({b for row in kept.values() for b in row})


def test_a_replica_that_restarted_has_nothing() -> None:
    record = PrefixRecord()
    record.sent(0, (1, 2))
    record.sent(1, (1,))
    record.forget(0)
    assert record.matched((1, 2)) == {1: 1}
    assert len(record) == 1


def test_without_a_prefix_a_conversation_stays_and_rings_are_forgotten() -> None:
    router, first = PrefixAffine(), ASK._replace(session="s", request_id="a")
    home = router.pick(0, first, idle(8))
    for n in range(9, 90):  # so many different fleets
        router.pick(0, first, idle(n))
    assert router.pick(0, first._replace(request_id="b"), idle(8)) == home


def test_load_is_in_requests_or_tokens() -> None:
    with pytest.raises(ValueError, match="by 'request': must be 'requests' or 'tokens'"):
        LeastOutstanding("request")  # type: ignore[arg-type]


def test_longest_prefix_unless_out_of_balance() -> None:
    router = LongestPrefix(unbalanced=4)
    item, other = ASK._replace(prefix_ids=(1, 2, 3, 4)), ASK._replace(prefix_ids=(1, 2, 7, 8, 9, 10, 11))
    assert router.pick(0, item, idle(2)) == 0
    assert router.pick(0, item, [Candidate(0, 4), Candidate(1, 0)]) == 0
    assert router.pick(0, other, [Candidate(0, 4), Candidate(1, 0)]) == 1  # 2 of 7 blocks are not worth it
    assert router.pick(0, item, [Candidate(0, 15), Candidate(1, 10)]) == 0  # more than 4 ahead, not beyond the ratio
    assert router.pick(0, item, [Candidate(0, 5), Candidate(1, 0)]) == 1  # both


def test_kv_aware_weighs_what_is_cached_against_what_is_out() -> None:
    router, item = KvAware(block_tok=16), ASK._replace(prefix_ids=(1, 2, 3, 4))
    assert router.pick(0, item, idle(2)) == 0  # 64 of its 100 tokens are there from now on
    assert router.pick(0, item, [Candidate(0, 1, 63), Candidate(1)]) == 0
    router = KvAware(block_tok=16)
    router.pick(0, item, idle(2))
    assert router.pick(0, item, [Candidate(0, 1, 65), Candidate(1)]) == 1


def test_kv_aware_avoids_the_full_and_the_silent() -> None:
    full, silent, fine = Signal(90, kv_used_ppm=990_000), Signal(0), Signal(90)
    pick = KvAware(fresh_ns=50).pick
    assert pick(100, ASK, [Candidate(0, signal=full), Candidate(1, signal=silent), Candidate(2, 9, 9, fine)]) == 2
    assert pick(100, ASK, [Candidate(0, signal=full), Candidate(1, 1, 9, signal=silent)]) == 0  # all bad: all able


SMALL = 4
MAKERS: list[Callable[[], Router]] = [
    RoundRobin, SmoothWeighted, LeastOutstanding, lambda: PowerOfChoices(Random(1)), SessionAffine, PrefixAffine,
    LongestPrefix, KvAware,
]


@pytest.mark.parametrize("make", MAKERS)
def test_every_router_picks_a_candidate_and_the_same_again(make: Callable[[], Router]) -> None:
    picks = []
    for router in (make(), make()):
        randomness, found = Random(5), list[int]()
        for i in range(300):
            able = sorted(randomness.sample(range(SMALL), randomness.randint(1, SMALL)))
            item = Waiting(f"r{i}", prompt_tok=64, prefix_ids=(i % 3, 10 + i % 7), session=f"s{i % 5}")
            found.append(router.pick(i, item, [Candidate(r, randomness.randrange(9), randomness.randrange(99))
                                               for r in able]))
            assert found[-1] in able
        picks.append(found)
    assert picks[0] == picks[1]


def longest_wait(router: Router) -> int:
    """Large, small, small (100, 1, 1 units), one every 34; two servers, half busy; the worst wait of a small one."""
    free, worst = [0, 0], 0
    for i in range(60):
        work, now = (1 if i % 3 else 100), 34 * i
        candidates = [Candidate(r, int(free[r] > now), max(0, free[r] - now)) for r in range(2)]
        got = router.pick(now, Waiting(f"{i}", prompt_tok=work, estimated_tok=0), candidates)
        if work == 1:
            worst = max(worst, free[got] - now)
        free[got] = max(free[got], now) + work
    return worst


def test_public_fault_round_robin_by_requests_starves_the_small_ones_and_by_tokens_nobody_waits() -> None:
    assert longest_wait(RoundRobin()) == 32  # behind a large one, 32 times its own size, beside an idle server
    assert longest_wait(LeastOutstanding("tokens")) == 0
