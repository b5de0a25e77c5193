"""No write below the highest token seen, whatever the network and the clocks do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple, rule

from workbench.control.coordination.leases import PPM, Fence, Holder, Lease, Leases

NODES = st.sampled_from(["n0", "n1", "n2"])
TTL_NS = 400
DRIFT_PPM = 100_000
# parts per million by which each node's clock runs fast; within the bound that they assume
RATES = {"n0": 0, "n1": DRIFT_PPM, "n2": -DRIFT_PPM}


STEP = st.integers(0, 120)
Answer = tuple[str, int, Lease]  # who asked, at what time of its clock


class Network(RuleBasedStateMachine):
    """Nodes with skewed clocks, a coordinator, a store behind a fence; messages are late, lost, doubled, reordered."""

    rates = RATES
    answers = Bundle("answers")
    writes = Bundle("writes")

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.leases, self.fence = Leases(TTL_NS), Fence()
        self.holders = {node: Holder(DRIFT_PPM) for node in RATES}
        self.owner: dict[int, str] = {}
        self.accepted: list[tuple[int, str]] = []

    def clock(self, node: str, ago_ns: int = 0) -> int:
        """Its own reading: another origin, another rate."""
        return 1000 * int(node[1]) + max(0, self.now_ns - ago_ns) * (PPM + self.rates[node]) // PPM

    @rule(target=answers, node=NODES, step_ns=STEP, ago_ns=STEP, late=st.booleans())
    def ask(self, node: str, step_ns: int, ago_ns: int, late: bool) -> MultipleResults[Answer]:
        """Reaches the coordinator now; it was sent a while ago; the answer may come at once, late, twice or never."""
        self.now_ns += step_ns
        lease = self.leases.acquire(self.now_ns, "db", node)
        if lease is None:
            return multiple()
        assert lease.token not in self.owner, "a token was given twice"
        self.owner[lease.token] = node
        answer = node, self.clock(node, ago_ns), lease
        if not late:
            self.hear(answer)
        return multiple(answer)

    @rule(target=answers, node=NODES, step_ns=STEP, late=st.booleans())
    def renew(self, node: str, step_ns: int, late: bool) -> MultipleResults[Answer]:
        self.now_ns += step_ns
        token = self.holders[node].holds(self.clock(node))
        lease = self.leases.renew(self.now_ns, "db", token) if token else None
        if lease is None:
            return multiple()
        answer = node, self.clock(node), lease
        if not late:
            self.hear(answer)
        return multiple(answer)

    @rule(answer=answers)
    def hear(self, answer: Answer) -> None:
        node, asked_ns, lease = answer
        self.holders[node].heard(lease, asked_ns)

    def believers(self) -> list[tuple[str, int]]:
        """Who believes to hold it, with the token."""
        tokens = {node: holder.holds(self.clock(node)) for node, holder in self.holders.items()}
        return [(node, token) for node, token in tokens.items() if token is not None]

    @rule(target=writes, pick=st.integers(0, 2), step_ns=STEP, late=st.booleans())
    def write(self, pick: int, step_ns: int, late: bool) -> MultipleResults[tuple[str, int]]:
        """By one of those who believe that they may."""
        self.now_ns += step_ns
        believers = self.believers()
        if not believers:
            return multiple()
        write = believers[pick % len(believers)]
        if not late:
            self.arrive(write)
        return multiple(write)

    @rule(write=writes)
    def arrive(self, write: tuple[str, int]) -> None:
        node, token = write
        highest = max((t for t, _ in self.accepted), default=0)
        assert self.fence.admit("db", token) == (token >= highest)
        if token >= highest:
            self.accepted.append((token, node))

    @rule(node=NODES, lost=st.booleans())
    def give_up(self, node: str, lost: bool) -> None:
        token = self.holders[node].give_up()
        if token and not lost:
            self.leases.release(self.now_ns, "db", token)

    @invariant()
    def tokens_never_fall_and_are_their_owners(self) -> None:
        tokens = [token for token, _ in self.accepted]
        assert tokens == sorted(tokens)
        assert all(self.owner[token] == node for token, node in self.accepted)

    @invariant()
    def within_the_drift_at_most_one_believes(self) -> None:
        if all(abs(rate) <= DRIFT_PPM for rate in self.rates.values()):
            assert len(self.believers()) <= 1


class WildNetwork(Network):
    """A clock that is far off: two may believe, and still no write is accepted out of order."""

    rates = {**RATES, "n2": -600_000}  # noqa: RUF012 - a constant


TestNetwork = Network.TestCase
TestWildNetwork = WildNetwork.TestCase
TestNetwork.settings = TestWildNetwork.settings = settings(max_examples=100, stateful_step_count=40)


def test_a_paused_holder_that_wakes_up_writes_in_vain() -> None:
    leases, fence = Leases(100), Fence()
    old = leases.acquire(0, "db", "a")
    assert old is not None
    assert leases.acquire(99, "db", "b") is None
    new = leases.acquire(100, "db", "b")
    assert new is not None
    assert (fence.admit("db", old.token), fence.admit("db", new.token)) == (True, True)
    assert fence.admit("db", old.token) is False
    assert (fence.highest("db"), fence.admit("other", 1)) == (new.token, True)
    assert leases.renew(101, "db", old.token) is None
    assert leases.release(101, "db", old.token) is False


def test_a_lease_is_renewed_ends_and_is_free_when_released() -> None:
    leases = Leases(100, first_token=7)
    lease = leases.acquire(0, "db", "a")
    assert lease == Lease("db", "a", 7, 100, 100)
    assert leases.renew(60, "db", 7) == Lease("db", "a", 7, 100, 160)
    assert (leases.due_ns(), leases.on_time(159)) == (160, ())
    assert leases.on_time(160) == (Lease("db", "a", 7, 100, 160),)
    assert leases.holder(160, "db") is None
    again = leases.acquire(161, "db", "b")
    assert again is not None
    assert leases.release(162, "db", again.token)
    assert leases.holder(162, "db") is None
    with pytest.raises(ValueError, match="clock went back from 162 to 5 ns"):
        leases.acquire(5, "db", "a")
    with pytest.raises(ValueError, match="ttl_ns 0"):
        Leases(0)


@given(
    ttl_ns=st.integers(1, 10**10), drift=st.integers(0, PPM - 1), mine=st.sampled_from([-1, 0, 1]),
    theirs=st.sampled_from([-1, 0, 1]), passed_ppm=st.integers(0, 2 * PPM),
)
def test_the_holder_stops_before_the_coordinator_gives_it_away(
    ttl_ns: int, drift: int, mine: int, theirs: int, passed_ppm: int
) -> None:
    """Both clocks off by the drift, so long in true time after the ask."""
    mine, theirs, passed_ns = mine * drift, theirs * drift, ttl_ns * passed_ppm // PPM
    holder = Holder(drift)
    holder.heard(Lease("x", "a", 1, ttl_ns, ttl_ns), 0)
    if holder.holds(passed_ns * (PPM + mine) // PPM):
        assert passed_ns * (PPM + theirs) // PPM < ttl_ns


def test_a_holder_believes_only_the_latest_that_it_did_not_give_up() -> None:
    holder = Holder(drift_ppm=0)
    assert (holder.holds(0), holder.give_up()) == (None, 0)
    holder.heard(Lease("x", "a", 5, 100, 0), 0)
    holder.heard(Lease("x", "a", 4, 900, 0), 0)  # an earlier one, late
    assert (holder.holds(99), holder.holds(100)) == (5, None)
    holder.heard(Lease("x", "a", 5, 100, 0), 50)  # renewed
    holder.heard(Lease("x", "a", 5, 100, 0), 20)  # that answer was late
    assert (holder.holds(149), holder.holds(150)) == (5, None)
    assert holder.give_up() == 5
    holder.heard(Lease("x", "a", 5, 100, 0), 60)  # told a second time
    assert holder.holds(61) is None
    with pytest.raises(ValueError, match="drift_ppm: 1000000"):
        Holder(PPM)
