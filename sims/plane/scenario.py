"""A scenario with a `[control]` table: workloads, fleet, control plane, clients and failures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from sims.plane import known
from sims.plane.client_spec import ClientSpec, arrivals, clients_of, ns
from sims.plane.failures import Failure, Kind
from sims.plane.run import PlaneResult, simulate_plane
from sims.rules import DisaggregatedRules, EngineRules
from sims.scenario import FleetSpec, Policies, Seconds, SloSpec, rules_for
from workbench.config import Settings, parse, read_text
from workbench.control.plane.build import Custom, plane_of
from workbench.control.plane.draws import Draws
from workbench.errors import UsageError
from workbench.metrics import Slo
from workbench.profile import profile as profiles
from workbench.profile.locate import profile_path
from workbench.profile.profile import Profile
from workbench.runlog.schema import Planned
from workbench.workload.arrivals import Closed
from workbench.workload.draw import draw
from workbench.workload.spec import NamedWorkload, WorkloadSpec, check_names
from workbench.workload.tenants import draw_all

SCHEDULING = {"fcfs": "fifo"}  # what v0.1 called its orders


class TenantWorkload(NamedWorkload):
    """One of `[[workloads]]`; what its `client` says replaces what the scenario's says, key by key."""

    client: ClientSpec | None = None


class FailureSpec(Settings):
    """Something breaks at `at_s`, and is whole again `down_s` later (without: never).

    replica  it dies with all that is inside
    node     so does every replica on it, and its heartbeats end
    partition  the node cannot be reached; its replicas go on computing, and what they say arrives when it heals
    spot     the replica's machine is taken away `notice_s` after the plane is told so
    slow     the replica's iterations take `slow_x` times as long; it answers, and nobody says so
    """

    at_s: float = Field(ge=0)
    kind: Kind = "replica"
    replica: int | None = Field(default=None, ge=0)
    node: str | None = None
    down_s: Seconds | None = None
    notice_s: float = Field(default=0.0, ge=0)
    slow_x: float = Field(default=1.0, ge=1, le=1000)

    @model_validator(mode="after")
    def _target(self) -> "FailureSpec":
        given = "node" if self.kind in ("node", "partition") else "replica"
        if (self.node is None) == (given == "node") or (self.replica is None) == (given == "replica"):
            raise ValueError(f"{given}: say which one, and nothing else; a {self.kind} is one {given}'s")
        if self.notice_s and self.kind != "spot":
            raise ValueError(f"notice_s: only of kind spot; nobody announces a {self.kind}")
        if (self.slow_x > 1) != (self.kind == "slow"):
            raise ValueError("slow_x: how many times as long its iterations take, above 1; only of kind slow")
        return self

    def as_failure(self) -> Failure:
        target = self.replica if self.node is None else self.node
        assert target is not None  # one of the two, as checked
        down_ns = None if self.down_s is None else ns(self.down_s)
        return Failure(ns(self.at_s), target, down_ns, self.kind, ns(self.notice_s), self.slow_x)


class PlaneScenario(Settings):
    """`workload`, or several `workloads`. `control.replicas` may say more of each than `fleet.replicas`; then that one
    counts. `policies` are v0.1's way to say order, router and window: `control` says what comes around them."""

    title: str = ""
    workload: WorkloadSpec | None = None
    workloads: tuple[TenantWorkload, ...] = ()
    fleet: FleetSpec
    policies: Policies | None = None
    control: dict[str, Any] = Field(default_factory=dict)
    client: ClientSpec = ClientSpec()
    report_s: Seconds | None = None  # replicas report so often; without: never
    heartbeat_s: Seconds | None = None  # of each node; without: never
    cold_start_s: float = Field(default=0.0, ge=0)  # from a start to the first request that it takes
    cold_start_spread_frac: float = Field(default=0.0, ge=0, le=1)  # each is drawn, up to so much shorter or longer
    failures: tuple[FailureSpec, ...] = ()
    slo: dict[str, SloSpec] = Field(default_factory=dict)
    horizon_s: Seconds | None = None
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> "PlaneScenario":
        if (self.workload is None) == (not self.workloads):
            raise ValueError("give [workload], or [[workloads]] of several tenants, one of the two")
        for spec in (self.workload, *self.workloads):
            if spec is not None and isinstance(spec.arrivals, Closed):
                raise ValueError("workload.arrivals: clients of the control plane arrive in an open loop")
            if spec is not None and (spec.tenants or spec.sessions):
                raise ValueError("workload: with a control plane, tenants are [[workloads]], and there are no "
                                 "sessions; a scenario without [control] has both")
        check_names(self.workloads)
        desk = plane_of(self.facts).desk
        known.check(desk, self.facts, self._asking())
        replicas = len(desk.fleet.specs)
        nodes = self.control.get("cluster", {}).get("nodes", {})
        for i, one in enumerate(self.failures):
            if one.replica is not None and one.replica >= replicas:
                raise ValueError(f"failures.{i}.replica: {one.replica} is none of the {replicas}, from 0 on")
            if one.node is not None and one.node not in nodes:
                raise ValueError(f"failures.{i}.node: {one.node!r} is none of control.cluster.nodes: "
                                 f"{', '.join(nodes) or 'there are none'}")
        return self

    def _asking(self) -> Iterator[known.Asking]:
        if self.workload is not None:
            yield "workload", "client", _tenants(self.workload), self.client.model
        for i, one in enumerate(self.workloads):
            own = one.client is not None and "model" in one.client.model_fields_set
            yield (f"workloads.{i}", f"workloads.{i}.client" if own else "client", _tenants(one),
                   self.client.but(one.client).model)

    def cold_start_ns(self, seed: int, replica: int, token: int) -> int:
        """Of one start: the same for whoever starts that replica with that token."""
        off = 2 * Draws(seed, f"cold start/{replica}/{token}").random() - 1
        return ns(self.cold_start_s * (1 + self.cold_start_spread_frac * off))

    @property
    def facts(self) -> dict[str, Any]:
        """What the plane is built of."""
        old, found = self.policies, dict[str, Any](replicas=self.fleet.replicas)
        if old is not None:
            order = {"name": SCHEDULING.get(old.queue.name, old.queue.name), "parameters": old.queue.parameters}
            found |= {"scheduling": order, "routing": old.router.model_dump()}
            found |= {} if old.window is None else {"window": old.window}
        return {**found, **self.control}

    @property
    def clients(self) -> dict[str, ClientSpec]:
        """By workload; "" is everybody else's."""
        return {"": self.client, **{one.title: self.client.but(one.client) for one in self.workloads}}

    @property
    def slo_by_tier(self) -> dict[str, Slo]:
        return {tier: spec.as_slo() for tier, spec in self.slo.items()}

    def replicated(self, n: int | None = None) -> tuple[int, ...]:
        """The seeds of `n` replications: its own first, then new ones."""
        n = n or len(self.seeds)
        return (*self.seeds, *range(max(self.seeds) + 1, max(self.seeds) + 1 + n))[:n]


@dataclass(frozen=True)
class PlaneCase:
    """A scenario with all that a run of it needs."""

    text: str
    scenario: PlaneScenario
    profile: Profile
    rules: EngineRules
    base: Path

    def __reduce__(self) -> tuple[Any, ...]:
        """To a worker the profile goes as JSON: in memory it carries what it has precomputed."""
        return _rebuilt, (self.text, self.scenario, self.profile.to_json(), self.rules, self.base)

    @staticmethod
    def load(path: Path) -> "PlaneCase":
        """Every error before any work. Raises UsageError."""
        return PlaneCase.of(read_text(path), path.name, path.parent)

    @staticmethod
    def of(text: str, name: str, base: Path) -> "PlaneCase":
        """Of a scenario's text; files that it names lie in `base`."""
        scenario = parse(PlaneScenario, text, name)
        profile = profiles.read(profile_path(scenario.fleet.profile, base, name, "fleet.profile"))
        rules = rules_for(profile, scenario.fleet.rules)
        if isinstance(rules, DisaggregatedRules):
            raise UsageError(f"{name}: fleet.rules: a disaggregated engine has no attempts to cancel yet")
        return PlaneCase(text, scenario, profile, rules, base)

    def draw(self, seed: int, requests: int | None = None) -> tuple[Planned, ...]:
        """The schedule of all its workloads; `requests`: so many of the first."""
        scenario = self.scenario
        if scenario.workload is None:
            return draw_all(scenario.workloads, seed, base=self.base, requests=requests)
        return draw(scenario.workload, seed, base=self.base)[:requests]

    def run(self, seed: int, custom: Custom | None = None, *, requests: int | None = None,
            control: Mapping[str, Any] | None = None, **more: Any) -> PlaneResult:
        """One seed: of the workload, of the clients and of every policy that draws. `control` replaces tables."""
        scenario, schedule = self.scenario, self.draw(seed, requests)
        facts = {**scenario.facts, **(control or {}), "seed": scenario.control.get("seed", 0) + seed}
        clients = clients_of(scenario.clients, seed)
        return simulate_plane(
            schedule, self.profile, self.rules, facts, custom=custom, clients=clients,
            arrival=arrivals(schedule, scenario.clients, facts, seed, clients),
            failures=[one.as_failure() for one in scenario.failures], seed=seed,
            report_ns=_ns(scenario.report_s), heartbeat_ns=_ns(scenario.heartbeat_s),
            start_ns=partial(scenario.cold_start_ns, seed),
            horizon_ns=_ns(scenario.horizon_s),
            price_usd_per_hour=scenario.fleet.price_usd_per_hour, provenance={"config_text": self.text}, **more)


def _tenants(spec: WorkloadSpec) -> tuple[str, ...]:
    return tuple(one.tenant for one in spec.who) or (spec.tenant,)


def _ns(seconds: float | None) -> int | None:
    return None if seconds is None else ns(seconds)


def _rebuilt(text: str, scenario: PlaneScenario, profile: str, rules: EngineRules, base: Path) -> PlaneCase:
    return PlaneCase(text, scenario, _parsed(profile), rules, base)


@lru_cache(maxsize=4)
def _parsed(profile: str) -> Profile:
    return profiles.from_json(profile)
