"""Second attempts, ejection and bounds on tenants: both drivers say the same, byte for byte."""

from typing import Any

import pytest
from test_two_drivers import MUCH, RULES, US, Steps, by_asyncio, drawn

from sims.overheads import Overheads
from sims.plane.driver import Failure
from sims.plane.run import simulate_plane
from workbench.control.money.periods import DAY_NS
from workbench.control.plane.events import Cancel

HEDGING = {"quantile_ppm": 500_000, "share_ppm": 600_000, "least_seen": 3, "window": 20}
RACES: dict[str, Any] = {"replicas": 3, "window": 3, "hedging": HEDGING, "retries": {"wait_ns": 5 * US}}
EVERYTHING: dict[str, Any] = {
    **MUCH, "hedging": HEDGING,
    "ejection": {"failures": 1, "base_ns": 20 * US, "most_ns": 40 * US, "most_ppm": 500_000},
    "tenants": {"tiers": {"free": {"deadline_ns": 90 * US, "concurrent": 2}, "pro": {"flags": {"hedging": True}}},
                "tenants": {"a": {"tier": "free"}, "b": {"tier": "pro"}, "c": {"tier": "pro", "concurrent": 4}}},
    "billing": {**MUCH["billing"], "utc_ns": 31 * DAY_NS - 100 * US},
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("facts", [RACES, EVERYTHING], ids=["races", "everything"])
def test_both_drivers_journals_are_equal_with_second_attempts(seed: int, facts: dict[str, Any]) -> None:
    plans, told = drawn(seed)
    failures = [Failure(100 * US, 0, 50 * US), Failure(180 * US, 1, 30 * US)]
    simulated = simulate_plane(plans, Steps(), RULES, facts, arrival=lambda plan: told[plan.request_id],
                               failures=failures, patience_ns=60 * US, overheads=Overheads(), checked=True)
    served = by_asyncio(plans, told, facts, failures, 60 * US, None)
    assert simulated.journal is not None
    assert list(simulated.journal.lines()) == list(served.lines())
    lost = [one for entry in served.entries for one in entry.decisions
            if isinstance(one, Cancel) and one.why == "another attempt answered first"]
    assert lost, "nobody raced"
