"""A scenario with a `[control]` table: workload, fleet, control plane, clients and failures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from sims.plane.driver import Failure
from sims.plane.run import PlaneResult, simulate_plane
from sims.rules import DisaggregatedRules, EngineRules
from sims.scenario import FleetSpec, Seconds, SloSpec, rules_for
from workbench.config import Settings, parse, read_text
from workbench.control.plane.build import Custom, plane_of
from workbench.control.plane.draws import Draws
from workbench.control.plane.events import Arrived
from workbench.errors import UsageError
from workbench.metrics import Slo
from workbench.profile import profile as profiles
from workbench.profile.locate import profile_path
from workbench.profile.profile import Profile
from workbench.runlog.schema import Planned
from workbench.workload.arrivals import Closed
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec


class ClientSpec(Settings):
    """What clients say and do. `asked_frac` of the requests ask one of `questions` whose answers may be kept, the
    popular ones more often; lengths are drawn for each request all the same."""

    model: str = ""
    estimated_tok: int | None = Field(default=None, ge=1)  # a guess of every output; without: the prompt's length
    max_tok: int = Field(default=0, ge=0)  # the most output they ask for
    deadline_s: Seconds | None = None
    patience_s: Seconds | None = None  # without a first token by then they leave
    questions: int = Field(default=0, ge=0)
    asked_frac: float = Field(default=0.0, ge=0, le=1)


class FailureSpec(Settings):
    """A replica dies at `at_s`, and is back `down_s` later."""

    at_s: float = Field(ge=0)
    replica: int = Field(ge=0)
    down_s: Seconds | None = None

    def as_failure(self) -> Failure:
        return Failure(_ns(self.at_s), self.replica, None if self.down_s is None else _ns(self.down_s))


class PlaneScenario(Settings):
    """`control.replicas` may say more of each than `fleet.replicas`; then that one counts."""

    title: str = ""
    workload: WorkloadSpec
    fleet: FleetSpec
    control: dict[str, Any] = Field(default_factory=dict)
    client: ClientSpec = ClientSpec()
    report_s: Seconds | None = None  # replicas report so often; without: never
    failures: tuple[FailureSpec, ...] = ()
    slo: dict[str, SloSpec] = Field(default_factory=dict)
    horizon_s: Seconds | None = None
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> "PlaneScenario":
        if isinstance(self.workload.arrivals, Closed):
            raise ValueError("workload.arrivals: clients of the control plane arrive in an open loop")
        replicas = len(plane_of(self.facts).desk.fleet.specs)
        for i, one in enumerate(self.failures):
            if one.replica >= replicas:
                raise ValueError(f"failures.{i}.replica: {one.replica} is none of the {replicas}, from 0 on")
        return self

    @property
    def facts(self) -> dict[str, Any]:
        return {"replicas": self.fleet.replicas, **self.control}

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
        text = read_text(path)
        scenario = parse(PlaneScenario, text, path.name)
        profile = profiles.read(profile_path(scenario.fleet.profile, path.parent, path.name, "fleet.profile"))
        rules = rules_for(profile, scenario.fleet.rules)
        if isinstance(rules, DisaggregatedRules):
            raise UsageError(f"{path.name}: fleet.rules: a disaggregated engine has no attempts to cancel yet")
        return PlaneCase(text, scenario, profile, rules, path.parent)

    def draw(self, seed: int) -> tuple[Planned, ...]:
        return draw(self.scenario.workload, seed, base=self.base)

    def run(self, seed: int, custom: Custom | None = None, **more: Any) -> PlaneResult:
        """One seed: of the workload, of the clients and of every policy that draws."""
        scenario, schedule = self.scenario, self.draw(seed)
        facts = {**scenario.facts, "seed": scenario.control.get("seed", 0) + seed}
        client = scenario.client
        return simulate_plane(
            schedule, self.profile, self.rules, facts, arrival=arrivals(schedule, scenario, seed), custom=custom,
            failures=[one.as_failure() for one in scenario.failures], seed=seed,
            patience_ns=None if client.patience_s is None else _ns(client.patience_s),
            report_ns=None if scenario.report_s is None else _ns(scenario.report_s),
            horizon_ns=None if scenario.horizon_s is None else _ns(scenario.horizon_s),
            price_usd_per_hour=scenario.fleet.price_usd_per_hour, provenance={"config_text": self.text}, **more)


def arrivals(schedule: Sequence[Planned], scenario: PlaneScenario, seed: int) -> Callable[[Planned], Arrived]:
    """What the plane is told. A tenant's first key is its clients'; who has none comes without."""
    client, keys = scenario.client, _keys(scenario.control)
    asked = _questions(schedule, client, seed)

    def of(plan: Planned) -> Arrived:
        deadline_ns = None if client.deadline_s is None else (plan.intended_ns or 0) + _ns(client.deadline_s)
        return Arrived(
            plan.request_id, plan.tenant, plan.tenant, keys.get(plan.tenant, ""), plan.tier, client.model,
            plan.asked_prompt_tok, client.estimated_tok or plan.asked_prompt_tok, client.max_tok, deadline_ns,
            plan.priority, asked.get(plan.request_id, ""), "", plan.prefix_ids)

    return of


def _keys(control: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in control.get("auth", {}).get("keys", ()):
        found.setdefault(key["tenant"], key["digest"])
    return found


def _questions(schedule: Sequence[Planned], client: ClientSpec, seed: int) -> dict[str, str]:
    """Two draws a request, used or not: variants stay on common random numbers. Popularity falls as 1/sqrt(rank)."""
    draws, found = Draws(seed, "questions"), dict[str, str]()
    for plan in schedule:
        asks, which = draws.random() < client.asked_frac, draws.random()
        if asks and client.questions:
            found[plan.request_id] = f"question {int(which * which * client.questions)}"
    return found


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
