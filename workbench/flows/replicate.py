"""One scenario, many seeds: what a worker gets, what it does, what it hands back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sims.overheads import Overheads
from sims.result import SimResult
from sims.rules import Rules, VllmRules, simulation_only
from sims.run import simulate
from sims.saturation import arrival_rps, refusals, saturation_rps, servable
from sims.scenario import Scenario, rules_for
from workbench.config import parse, read_text
from workbench.errors import Failure
from workbench.metrics import arrived, summarise, values
from workbench.profile import profile as profiles
from workbench.profile.locate import profile_path
from workbench.profile.profile import Profile
from workbench.profile.ranges import ProfileRangeError, RangeWatch
from workbench.runlog.schema import Planned
from workbench.runlog.table import RunLog
from workbench.stats.warmup import mser5
from workbench.workload.draw import draw

EVERY_TIER = "all"


@dataclass(frozen=True)
class Case:
    """A scenario with all that a run of it needs. `name` is how errors call it, `base` where its files lie."""

    name: str
    text: str
    scenario: Scenario
    profile: Profile
    rules: Rules
    base: Path

    @staticmethod
    def load(path: Path) -> "Case":
        """Read a scenario file and its profile; every error before any work."""
        text = read_text(path)
        scenario = parse(Scenario, text, path.name)
        profile = profiles.read(profile_path(scenario.fleet.profile, path.parent, path.name, "fleet.profile"))
        return Case.made(scenario, profile, path.parent, path.name, text)

    @staticmethod
    def made(scenario: Scenario, profile: Profile, base: Path, name: str, text: str) -> "Case":
        return Case(name, text, scenario, profile, rules_for(profile, scenario.fleet.rules), base)

    def __reduce__(self) -> tuple[Any, ...]:
        """To a worker the profile goes as JSON: in memory it carries what it has precomputed."""
        return _rebuilt, (self.name, self.text, self.scenario, self.profile.to_json(), self.rules, self.base)

    def draw(self, seed: int) -> tuple[Planned, ...]:
        return draw(self.scenario.workload, seed, base=self.base)

    def _rules(self, seed: int) -> Rules:
        """Draws inside the engine (accepted drafts) differ between replications too."""
        rules = self.rules
        return replace(rules, seed=rules.seed + seed) if isinstance(rules, VllmRules) and rules.draft_tok else rules

    def saturation_rps(self, schedule: Sequence[Planned]) -> float | None:
        return saturation_rps(schedule, self.profile, self.rules, replicas=self.scenario.fleet.replicas)

    def servable(self, schedule: Sequence[Planned]) -> Sequence[Planned]:
        """What loads the fleet."""
        return servable(schedule, self.profile, self.rules)

    def refuse_unservable(self, schedule: Sequence[Planned]) -> None:
        """Raises Failure, with the first request's reason, where the fleet can serve none of them."""
        if schedule and not self.servable(schedule):
            why = refusals(self.profile, self.rules)(schedule[0])
            raise Failure(f"{self.name}: its replicas can serve no request of the workload: {schedule[0].request_id} "
                          f"{why}; see fleet.rules")

    def simulation_only(self, schedule: Sequence[Planned]) -> list[str]:
        """The options in use that no engine here is run with; and whether one of them changes nothing."""
        found = list(simulation_only(self.rules))
        if len({item.priority for item in schedule}) < 2:
            found = [f"{text} (every request has the same priority: the order is that of arrival)"
                     if text.endswith("order=priority") else text for text in found]
        return found

    @property
    def basis(self) -> dict[str, Any]:
        """What the profile is of."""
        subject = self.profile.subject
        return {"model": subject.model, "quant": subject.quant, "gpu": subject.gpu,
                "parallel": str(self.profile.parallel)}

    def simulate(self, schedule: Sequence[Planned], seed: int, **more: Any) -> tuple[SimResult, RangeWatch]:
        """One run; `more` goes to `simulate`."""
        fleet, policies = self.scenario.fleet, self.scenario.policies
        watch = RangeWatch(self.profile, strict=fleet.outside_range == "refuse")
        horizon_s = self.scenario.horizon_s
        try:
            result = simulate(
                schedule, watch, self._rules(seed), replicas=fleet.replicas, window=policies.window,
                queue=policies.queue.name, queue_with=policies.queue.parameters,
                router=policies.router.name, router_with=policies.router.parameters,
                concurrency=self.scenario.concurrency, overheads=Overheads.of(self.profile), seed=seed,
                horizon_ns=None if horizon_s is None else round(horizon_s * 1e9),
                price_usd_per_hour=fleet.price_usd_per_hour, about=self.profile, mode=self.scenario.mode, **more,
            )
        except ProfileRangeError as error:
            raise Failure(f"{self.name}: fleet.outside_range: {error} with \"count\"") from None
        ended = sum(result.log.outcomes().values())
        if ended != len(schedule):
            raise Failure(f"simulator bug: {len(schedule)} requests arrived, {ended} have an outcome")
        return result, watch


def _rebuilt(name: str, text: str, scenario: Scenario, profile: str, rules: Rules, base: Path) -> Case:
    return Case(name, text, scenario, _parsed(profile), rules, base)


@lru_cache(maxsize=4)
def _parsed(profile: str) -> Profile:
    return profiles.from_json(profile)


@dataclass(frozen=True, slots=True)
class Replication:
    """One seed's figures: tier -> "ttft_s.mean" -> value, None where it cannot be known."""

    seed: int
    figures: Mapping[str, Mapping[str, float | None]]
    outcomes: Mapping[str, int]  # of all requests that arrived, warm-up included
    load_frac: float | None  # rate of the servable requests over saturation
    preemptions: int
    iterations: int
    outside_range: int  # iterations that the profile was asked for beyond what was measured


@dataclass(frozen=True, slots=True)
class Task:
    """One seed of one case. `saturation` of the case, where it is known already."""

    case: Case
    seed: int
    saturation: float | None = None


def replicate(task: Task) -> Replication:
    """Simulate one seed and keep its figures, per tier and over all."""
    case, schedule = task.case, task.case.draw(task.seed)
    result, watch = case.simulate(schedule, task.seed, keep_journal=False)
    rate = arrival_rps(case.servable(schedule))
    load = rate / task.saturation if rate is not None and task.saturation else None
    cost = cost_usd(result)
    figures = {tier: flat(item) for tier, item in by_tier(result.log, case.scenario).items()}
    figures[EVERY_TIER] |= {"cost_usd.value": cost} if cost is not None else {}
    return Replication(
        task.seed, figures, arrived(result.log).outcomes(), load, result.preemptions, sum(result.iterations),
        sum(watch.outside.values()) if case.profile.ranges.regions else 0,
    )


def by_tier(log: RunLog, scenario: Scenario) -> dict[str, dict[str, Any]]:
    """Summaries: over all, and of each tier where there is more than one."""
    found = {EVERY_TIER: summarise(log, scenario.slo_by_tier)}
    tiers = log.text("tier")
    names = sorted(set(arrived(log).text("tier").tolist()))
    if len(names) > 1:
        for name in names:
            mine = log.where(np.asarray(tiers == name, dtype=bool))
            found[name] = summarise(mine, scenario.slo_by_tier)
    return found


def flat(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """The metrics of a summary as `name.statistic` -> simulated value."""
    return {
        f"{name}.{stat}": item[stat]["simulated"]
        for name, item in summary["metrics"].items() for stat in item if stat not in ("unit", "n")
    }


def cost_usd(result: SimResult) -> float | None:
    if result.log.table.column("cost_pusd").null_count:
        return None
    return float(result.log.ints("cost_pusd").sum()) / 1e12


def warmup_found(log: RunLog) -> dict[str, Any]:
    """What MSER-5 says of the end-to-end latencies in order of arrival, those declared as warm-up left out."""
    order = np.argsort(log.counted.floats("sent_ns"), kind="stable")
    ordered = log.counted.table.take(order)
    found = mser5(values(RunLog(log.provenance, ordered), "e2e_s"))
    return {"series": "e2e_s", "cut_requests": found.cut, "of": found.n, "why_not": found.why_not}
