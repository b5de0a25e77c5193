"""What one replica of a shipped profile carries inside one promise: chapters on several GPUs and on TPUs ask it."""

from dataclasses import dataclass, replace

from sims.scenario import rules_for
from workbench.config import validate
from workbench.economics.search import highest
from workbench.economics.unit_cost import Load
from workbench.flows.gpus import SLO, TARGET_FRAC, WORKLOAD
from workbench.flows.trial import Bench, Trial
from workbench.paths import datasets
from workbench.profile import profile as profiles
from workbench.profile.profile import Profile
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec


@dataclass(frozen=True)
class Carried:
    """The highest rate found that keeps the promise. `trial` None: not even alone, or not at any rate."""

    profile: Profile
    trial: Trial | None
    seeds: int
    asked: Load  # at the rate that was drawn

    @property
    def rate_rps(self) -> float:
        return self.trial.rate_rps if self.trial else 0.0

    @property
    def load(self) -> Load:
        return replace(self.asked, rate_rps=self.rate_rps)


def silicon(name: str) -> Profile:
    return profiles.read(datasets() / "profiles" / "silicon" / f"{name}.json")


def edge(name: str) -> Profile:
    return profiles.read(datasets() / "profiles" / "edge" / f"{name}.json")


def bench(profile: Profile, seeds: int, requests: int, **rules: int) -> Bench:
    """The chat service of `workbench.flows.gpus`, on so many seeds."""
    spec = validate(WorkloadSpec, {**WORKLOAD, "requests": requests, "warmup_requests": requests // 6}, "chat")
    schedules = tuple(draw(spec, seed) for seed in range(1, seeds + 1))
    return Bench(profile, rules_for(profile, rules), schedules, SLO, TARGET_FRAC)


def carried(profile: Profile, seeds: int, requests: int) -> Carried:
    """By bisection; the last step is within a sixteenth."""
    asked = bench(profile, seeds, requests)
    if asked.alone() < TARGET_FRAC or not asked.peak_rps:
        return Carried(profile, None, seeds, asked.load)
    tried: dict[float, Trial] = {}

    def meets(rate_rps: float) -> bool:
        tried[rate_rps] = asked.trial(1, rate_rps)
        return tried[rate_rps].met

    found = highest(meets, asked.peak_rps)
    return Carried(profile, None if found is None else tried[found], seeds, asked.load)
