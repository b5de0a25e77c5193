"""`--dry-run`: what a sweep would do, how long it would take and what it would cost; nothing is started."""

from typing import Any

from workbench.flows.sweeps.estimate import estimate
from workbench.flows.sweeps.fingerprint import differing
from workbench.flows.sweeps.points import Point, cases, points
from workbench.flows.sweeps.run import Sweep
from workbench.flows.sweeps.search import Found, next_point
from workbench.flows.sweeps.store import Row, Store, read_point

SEARCH_POINTS = 8  # a stated guess: three doublings, three halvings of the gap, two repeats


def _rows_of(sweep: Sweep) -> Store:
    """What is there already; nothing is locked or changed."""
    store = Store(sweep.folder)
    if store.points.is_dir():
        store.rows = {path.name: read_point(path) for path in sorted(store.points.iterdir())
                      if path.is_dir() and not path.name.endswith(".part")}
    return store


def _listed(sweep: Sweep, store: Store) -> list[tuple[Point, int]]:
    """Points with how often each counts: of a search the finished ones, and the next for all that follow."""
    if sweep.spec.load.search is None:
        return [(point, 1) for point in points(sweep.spec)]
    found = []
    for setting, workloads in cases(sweep.spec):
        for workload in workloads:
            verified: list[Row] = []
            while True:
                answer = next_point(sweep.spec, setting, workload, verified)
                if isinstance(answer, Found):
                    break
                now, _ = sweep.fingerprint(answer, sweep.schedule(answer))
                row = store.rows.get(answer.id)
                if row is None or differing(row["fingerprint"], now):
                    found.append((answer, SEARCH_POINTS))
                    break
                found.append((answer, 1))
                verified.append(row)
    return found


def dry(sweep: Sweep) -> dict[str, Any]:
    """In the order in which they would run, with the estimate's basis; done ones cost nothing."""
    sweep.spec.check_workloads("sweep.toml")
    store = _rows_of(sweep)
    rows = list(store.rows.values())
    found: list[dict[str, Any]] = []
    loaded, used_s, fits = "", 0.0, True
    for point, times in _listed(sweep, store):
        schedule = sweep.schedule(point)
        now, refusal = sweep.fingerprint(point, schedule)
        done = sweep.is_done(store, point, now)
        expected = estimate(point, schedule, rows, loaded=loaded == point.setting.key)
        seconds = 0.0 if done or refusal else expected.start_s + times * expected.run_s
        if not done and refusal is None:
            loaded = point.setting.key
        used_s += seconds
        fits = fits and sweep.budget.refuses(used_s) is None
        found.append({
            "id": point.id, "label": point.setting.label, "workload": point.workload, "rate_per_s": point.rate_per_s,
            "concurrency": point.concurrency, "repeat": point.repeat, "done": done, "times": times,
            "refused": refusal.message if refusal else None, "estimated_s": seconds,
            "estimated_usd": sweep.budget.usd(seconds), "basis": expected.basis, "fits": fits,
        })
    return {
        "kind": "workbench.sweep-plan", "schema": 1, "name": sweep.spec.name, "points": found,
        "to_run": sum(item["times"] for item in found if not item["done"]),
        "done": sum(item["done"] for item in found), "fits": fits,
        "estimated_s": used_s, "estimated_hours": used_s / 3600, "estimated_usd": sweep.budget.usd(used_s),
    }
