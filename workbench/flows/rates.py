"""At which rate is an engine how busy? Asked of the simulator, not divided."""

from sims.rules import from_facts
from sims.run import simulate
from workbench.flows.calibrate import poisson
from workbench.profile.profile import Profile
from workbench.workload.draw import draw

PROBE_REQUESTS = 150
STEPS = 7


def busy_frac(profile: Profile, rate_per_s: float, seed: int, requests: int = PROBE_REQUESTS) -> float:
    """Share of the time in which one engine computes, for the demo's traffic at a rate."""
    schedule = draw(poisson(rate_per_s, requests=requests), seed)
    found = simulate(schedule, profile, from_facts(profile.rules), keep_journal=False)
    return found.busy_ns[0] / found.stop_ns


def rate_for_busy(profile: Profile, target_frac: float, seed: int, requests: int = PROBE_REQUESTS) -> float:
    """The Poisson rate at which one engine is busy for this fraction of the time, to two digits (bisection)."""
    low, high = 0.05, 0.5
    while busy_frac(profile, high, seed, requests) < target_frac and high < 1000:
        low, high = high, high * 2
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if busy_frac(profile, middle, seed, requests) < target_frac else (low, middle)
    return float(f"{(low + high) / 2:.2g}")
