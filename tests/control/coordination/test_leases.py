"""No write below the highest token seen, whatever the network and the clocks do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from workbench.control.coordination.leases import PPM, Fence, HeldLease, Lease, Leases

NODES = st.sampled_from(["n0", "n1", "n2"])
TTL_NS = 100
DRIFT_PPM = 100_000
# parts per million by which each node's clock runs fast; within the bound that they assume
RATES = {"n0": 0, "n1": DRIFT_PPM, "n2": -DRIFT_PPM}


class Network(RuleBasedStateMachine):
    """Nodes with skewed clocks, a coordinator, a store behind a fence; messages are late, lost, doubled, reordered."""

    rates = RATES
    answers = Bundle("answers")
    writes = Bundle("writes")

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.leases, self.fence = Leases(TTL_NS), Fence()
        self.belief: dict[str, HeldLease] = {}
        self.owner: dict[int, str] = {}
        self.accepted: list[tuple[int, str]] = []

    def clock(self, node: str) -> int:
        """Its own reading: another origin, another rate."""
        return 1000 * int(node[1]) + self.now_ns * (PPM + self.rates[node]) // PPM

    @rule(step_ns=st.integers(1, 60))
    def wait(self, step_ns: int) -> None:
        self.now_ns += step_ns

    @rule(target=answers, node=NODES, asked_ago_ns=st.integers(0, 120))
    def ask(self, node: str, asked_ago_ns: int) -> tuple[str, int, Lease | None]:
        """Reaches the coordinator now; it was sent a while ago; the answer may come late, twice or never."""
        sent_ns = self.now_ns - min(asked_ago_ns, self.now_ns)
        asked_ns = 1000 * int(node[1]) + sent_ns * (PPM + self.rates[node]) // PPM
        lease = self.leases.acquire(self.now_ns, "db", node)
        if lease is not None:
            assert lease.token not in self.owner, "a token was given twice"
            self.owner[lease.token] = node
        return node, asked_ns, lease

    @rule(target=answers, node=NODES)
    def renew(self, node: str) -> tuple[str, int, Lease | None]:
        held = self.belief.get(node)
        return node, self.clock(node), self.leases.renew(self.now_ns, "db", held.token) if held else None

    @rule(answer=answers)
    def hear(self, answer: tuple[str, int, Lease | None]) -> None:
        node, asked_ns, lease = answer
        if lease is not None:
            held = HeldLease.granted(lease, asked_ns, DRIFT_PPM)
            # a later token, or more time for the same one
            if node not in self.belief or (held.token, held.until_ns) > (
                self.belief[node].token, self.belief[node].until_ns
            ):
                self.belief[node] = held

    @rule(target=writes, node=NODES)
    def write(self, node: str) -> tuple[str, int] | None:
        held = self.belief.get(node)
        return (node, held.token) if held is not None and held.believes(self.clock(node)) else None

    @rule(write=writes)
    def arrive(self, write: tuple[str, int] | None) -> None:
        if write is not None:
            node, token = write
            highest = max((t for t, _ in self.accepted), default=0)
            assert self.fence.admit("db", token) == (token >= highest)
            if token >= highest:
                self.accepted.append((token, node))

    @rule(node=NODES)
    def give_up(self, node: str) -> None:
        held = self.belief.pop(node, None)
        if held is not None:
            self.leases.release(self.now_ns, "db", held.token)

    @invariant()
    def tokens_never_fall_and_are_their_owners(self) -> None:
        tokens = [token for token, _ in self.accepted]
        assert tokens == sorted(tokens)
        assert all(self.owner[token] == node for token, node in self.accepted)

    @invariant()
    def within_the_drift_at_most_one_believes(self) -> None:
        believers = [n for n, held in self.belief.items() if held.believes(self.clock(n))]
        if all(abs(rate) <= DRIFT_PPM for rate in self.rates.values()):
            assert len(believers) <= 1


class WildNetwork(Network):
    """A clock that is far off: two may believe, and still no write is accepted out of order."""

    rates = {**RATES, "n2": -600_000}  # noqa: RUF012 - a constant


TestNetwork = Network.TestCase
TestWildNetwork = WildNetwork.TestCase
TestNetwork.settings = TestWildNetwork.settings = settings(max_examples=60, stateful_step_count=30)


def test_a_paused_holder_that_wakes_up_writes_in_vain() -> None:
    leases, fence = Leases(TTL_NS), Fence()
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
    leases = Leases(TTL_NS, first_token=7)
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
    ttl_ns=st.integers(1, 10**10), drift=st.integers(0, PPM - 1), mine=st.integers(-PPM + 1, PPM - 1),
    theirs=st.integers(-PPM + 1, PPM - 1), passed_ns=st.integers(0, 10**11),
)
def test_the_holder_stops_before_the_coordinator_gives_it_away(
    ttl_ns: int, drift: int, mine: int, theirs: int, passed_ns: int
) -> None:
    """Both clocks off by up to the drift, in true time `passed_ns` after the ask."""
    mine, theirs = max(-drift, min(drift, mine)), max(-drift, min(drift, theirs))
    held = HeldLease.granted(Lease("x", "a", 1, ttl_ns, ttl_ns), 0, drift)
    if held.believes(passed_ns * (PPM + mine) // PPM):
        assert passed_ns * (PPM + theirs) // PPM < ttl_ns
    with pytest.raises(ValueError, match="drift_ppm: 1000000"):
        HeldLease.granted(Lease("x", "a", 1, ttl_ns, ttl_ns), 0, PPM)
