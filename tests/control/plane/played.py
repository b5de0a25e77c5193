"""Random but repeatable lives of requests: a driver that does what the plane decides, in no time at all."""

from collections.abc import Mapping
from random import Random
from typing import Any

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import (
    Answer,
    Arrived,
    Cancel,
    Event,
    Finish,
    FirstToken,
    Gone,
    Left,
    Progress,
    Reject,
    Release,
    ReplicaDown,
    ReplicaUp,
    Report,
    Time,
    Wake,
)
from workbench.control.plane.journal import Entry, PlaneJournal

SECOND = 10**9
ENDS = (Reject, Answer, Finish)

EVERYTHING: Mapping[str, Any] = {
    "seed": 7, "window": 2, "replicas": [{"weight": 2}, {}, {}, {"pool": "tier:gold"}],
    "auth": {"keys": [{"digest": f"k-{name}", "tenant": name, "user": f"u-{name}"} for name in ("a", "b", "c")]
             + [{"digest": "k-old", "tenant": "a", "expires_ns": 5}]},
    "tenants": {
        "tiers": {"free": {"weight": 1, "priority": 1, "deadline_ns": 3 * SECOND, "waiting": 6, "ttft_ns": SECOND},
                  "gold": {"weight": 4, "replicas": "tier", "e2e_ns": 5 * SECOND}},
        "tenants": {"a": {"tier": "free"}, "b": {"tier": "free", "weight": 3}, "c": {"tier": "gold"}},
    },
    "limits": {"levels": [
        {"name": "requests", "by": "tenant", "counts": "requests", "parameters": {"amount": 40, "per_ns": SECOND}},
        {"name": "user", "meter": "sliding_counter", "parameters": {"amount": 4000, "per_ns": SECOND}},
        {"name": "model", "parameters": {"amount": 20_000, "per_ns": SECOND}},
    ]},
    "cache": {"capacity_bytes": 4000, "ttl_ns": 2 * SECOND, "eviction": "tinylfu"},
    "models": {
        "versions": [{"model": "m", "version": "1", "revision": "r1", "context_tok": 500},
                     {"model": "m", "version": "2", "revision": "r2", "context_tok": 500}],
        "aliases": {"m": {"m@1": 3, "m@2": 1}},
    },
    "queue": {"limit": 12, "overflow": "drop_lowest", "service": {"base_ns": SECOND // 10},
              "pressure": {"up": [6], "down": [2]}, "smaller": {"m@2": "m@1"}},
    "scheduling": "wfq",
    "routing": {"name": "power_of_choices", "parameters": {"by": "tokens"}},
    "breaker": {"failures": 3, "window": 5, "open_ns": SECOND},
    "retries": {"ratio_ppm": 300_000},
    "allocator": {"capacity": 1500},
    "billing": {"prices": [{"model": "*", "kind": "input", "flat": 150_000},
                           {"model": "*", "kind": "output", "flat": 600_000}]},
    "sla": {"window_ns": 60 * SECOND},
}


class Play:
    """`checked` asks the plane for its conservation after every event."""

    def __init__(self, facts: Mapping[str, Any], seed: int, checked: bool = True, custom: Any = None) -> None:
        self.facts, self.rng, self.checked = facts, Random(seed), checked
        self.plane = plane_of(facts, custom)
        self.entries: list[Entry] = []
        self.now_ns = self.count = 0
        self.out: dict[tuple[str, int], tuple[int, bool]] = {}  # attempt -> replica, first byte sent
        self.inside: dict[str, None] = {}
        self.ended: dict[str, Any] = {}
        self.wakes: list[int] = []

    @property
    def journal(self) -> PlaneJournal:
        return PlaneJournal(self.facts, self.entries)

    def tell(self, event: Event) -> None:
        decisions = self.plane.on(self.now_ns, event)
        self.entries.append(Entry(self.now_ns, event, decisions))
        for one in decisions:
            if isinstance(one, Release):
                assert one.request_id in self.inside
                self.out[one.request_id, one.attempt] = one.replica, False
            elif isinstance(one, Cancel):
                del self.out[one.request_id, one.attempt]
            elif isinstance(one, ENDS):
                assert one.request_id not in self.ended, "ended twice"
                del self.inside[one.request_id]
                self.ended[one.request_id] = one
            elif isinstance(one, Wake):
                assert one.at_ns >= self.now_ns
                self.wakes.append(one.at_ns)
        if self.checked:
            self.plane.check()

    def arrive(self) -> None:
        rng = self.rng
        self.count += 1
        name = f"r{self.count}"
        self.inside[name] = None
        tenant = rng.choice("abc")
        self.tell(Arrived(
            name, tenant, key=rng.choice([f"k-{tenant}"] * 12 + ["", "k-old"]), model=rng.choice(["m"] * 9 + ["n"]),
            prompt_tok=rng.randint(1, 200), estimated_tok=rng.randint(1, 200), max_tok=rng.choice([0, 220]),
            deadline_ns=rng.choice([None, self.now_ns + rng.randint(0, 2 * SECOND)]),
            cache=rng.choice(["", "", f"q{rng.randint(0, 9)}"]), session=f"s{rng.randint(0, 5)}"))

    def step(self) -> None:
        """Something happens, a little later."""
        rng = self.rng
        self.now_ns += rng.choice([0, rng.randint(1, SECOND // 20)])
        while self.wakes and min(self.wakes) <= self.now_ns:
            self.wakes.remove(min(self.wakes))
            self.tell(Time())
        what = rng.random()
        if what < 0.45 or not self.out:
            self.arrive()
        elif what < 0.85:
            self.end(*rng.choice(list(self.out)))
        elif what < 0.9 and self.inside:
            self.tell(Gone(rng.choice([*self.inside, "never was"])))
        elif what < 0.94:
            self.tell(Report(rng.randint(0, 3), self.now_ns, rng.randint(0, 5), 1, rng.randint(0, 10**6)))
        else:
            self.tell(rng.choice([ReplicaDown, ReplicaUp, ReplicaUp])(rng.randint(0, 3)))

    def end(self, name: str, attempt: int) -> None:
        rng = self.rng
        how = rng.choice(["first", "progress", "ok", "ok", "ok", "failure", "rejected", "refused", "late"])
        if how == "first":
            self.out[name, attempt] = self.out[name, attempt][0], True
            self.tell(FirstToken(name, attempt))
        elif how == "progress":
            self.tell(Progress(name, attempt, rng.randint(1, 50)))
        elif how == "late":
            self.tell(Left(name, attempt + 7, "ok", 1, 0, 1))
        else:
            del self.out[name, attempt]
            ok = how == "ok"
            self.tell(Left(name, attempt, how, 20 if ok else 0, 3 if ok else 0, rng.randint(1, 50) if ok else 0))

    def drain(self) -> None:
        """Nobody comes any more, and everything works."""
        for replica in range(len(self.plane.desk.fleet.specs)):
            self.tell(ReplicaUp(replica))
        while self.out or self.wakes:
            for name, attempt in list(self.out):
                if self.out.pop((name, attempt), None) is not None:
                    self.tell(Left(name, attempt, "ok", 5, 0, 5))
            if self.wakes:
                at_ns = min(self.wakes)
                self.wakes.remove(at_ns)
                self.now_ns = max(self.now_ns, at_ns)
                self.tell(Time())


def played(facts: Mapping[str, Any], seed: int, steps: int, checked: bool = True) -> Play:
    play = Play(facts, seed, checked)
    for _ in range(steps):
        play.step()
    play.drain()
    return play
