"""A scenario with a `[control]` table: workloads, fleet, control plane, clients and failures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from sims.plane.client_spec import ClientSpec, arrivals, clients_of, ns
from sims.plane.driver import Failure
from sims.plane.run import PlaneResult, simulate_plane
from sims.rules import DisaggregatedRules, EngineRules
from sims.scenario import FleetSpec, Policies, Seconds, SloSpec, rules_for
from workbench.config import Settings, parse, read_text
from workbench.control.plane.build import Custom, plane_of
from workbench.errors import UsageError
from workbench.metrics import Slo
from workbench.profile import profile as profiles
from workbench.profile.locate import profile_path
from workbench.profile.profile import Profile
from workbench.runlog.schema import Planned
from workbench.workload.arrivals import Closed
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec
from workbench.workload.tenants import NamedWorkload, check_names, draw_all

SCHEDULING = {"fcfs": "fifo"}  # what v0.1 called its orders


class TenantWorkload(NamedWorkload):
    """One of `[[workloads]]`; what its `client` says replaces what the scenario's says, key by key."""

    client: ClientSpec | None = None


class FailureSpec(Settings):
    """A replica dies at `at_s`, and is back `down_s` later."""

    at_s: float = Field(ge=0)
    replica: int = Field(ge=0)
    down_s: Seconds | None = None

    def as_failure(self) -> Failure:
        return Failure(ns(self.at_s), self.replica, None if self.down_s is None else ns(self.down_s))


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
        check_names(self.workloads)
        replicas = len(plane_of(self.facts).desk.fleet.specs)
        for i, one in enumerate(self.failures):
            if one.replica >= replicas:
                raise ValueError(f"failures.{i}.replica: {one.replica} is none of the {replicas}, from 0 on")
        return self

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
            report_ns=None if scenario.report_s is None else ns(scenario.report_s),
            horizon_ns=None if scenario.horizon_s is None else ns(scenario.horizon_s),
            price_usd_per_hour=scenario.fleet.price_usd_per_hour, provenance={"config_text": self.text}, **more)
