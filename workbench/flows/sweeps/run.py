"""`workbench sweep run`: go through the points, keep what is measured, stop before what does not fit."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.files import write_json, write_text
from workbench.flows.sweeps import ranking, search
from workbench.flows.sweeps.budget import Budget
from workbench.flows.sweeps.environment import (
    ENVIRONMENTS,
    client_version,
    engine_packages,
    gpu_words,
    machine_facts,
)
from workbench.flows.sweeps.estimate import Estimate, estimate, sending_s
from workbench.flows.sweeps.failures import PointFailure
from workbench.flows.sweeps.fingerprint import Fingerprint, Here, differing, fingerprint
from workbench.flows.sweeps.guards import disturbed
from workbench.flows.sweeps.hosts import Shelf, Starter
from workbench.flows.sweeps.measure import NOTHING_SERVED, measure, quiet
from workbench.flows.sweeps.points import Point, Setting, cases, digest, points
from workbench.flows.sweeps.session import Session, session
from workbench.flows.sweeps.spec import SweepSpec
from workbench.flows.sweeps.store import Row, Store, opened
from workbench.redact import redact
from workbench.runlog.provenance import now_utc
from workbench.runlog.schema import Planned
from workbench.workload.draw import draw

FILE, LOGS, RESULT = "sweep.toml", "logs", "result.json"
SEARCH_SLACK_S = 30.0  # a searched rate that takes twice its sending time and this is beyond saturation
Note = Callable[[str], None]


@dataclass
class Sweep:
    """Everything that a sweep's points share. `start` is how an engine comes up (another one in tests)."""

    spec: SweepSpec
    folder: Path
    budget: Budget
    shelf: Shelf = field(default_factory=Shelf)
    start: Starter | None = None
    base: Path = field(default_factory=Path.cwd)
    config_text: str = ""
    retry_failed: bool = False
    retry_disturbed: bool = False
    note: Note = lambda _text: None
    on_point: Callable[[int, int], None] = lambda _done, _total: None
    facts: dict[str, Any] = field(init=False)
    here: Here = field(init=False)
    ran: int = field(init=False, default=0)
    kept: int = field(init=False, default=0)
    done: set[str] = field(init=False, default_factory=set)  # ids that this session needs not look at again

    def __post_init__(self) -> None:
        self.facts = machine_facts(self.spec.price.model_copy(update={"usd_per_hour": self.budget.usd_per_hour}))
        self.here = Here(gpu_words(self.facts), self.facts["driver"], client_version(), self.facts["cpu"])

    # --- what is asked, and whether it is there already

    def schedule(self, point: Point) -> tuple[Planned, ...]:
        return draw(self.spec.drawn_from(point.workload, point.rate_per_s), point.seed, base=self.base)

    def fingerprint(self, point: Point, schedule: Sequence[Planned]) -> tuple[Fingerprint, PointFailure | None]:
        """Of a setting that the engine refuses: what was asked, and the refusal."""
        try:
            engine, model = self.shelf.engine(point.setting.engine), self.shelf.model(point.setting)
            slo = self.spec.load.search.slo.model_dump() if self.spec.load.search else None
            return fingerprint(point, engine, model, schedule, self.here, workers=self.spec.workers, slo=slo), None
        except UsageError as error:
            return {"asked": digest(point.as_dict())}, PointFailure("refused", str(error))

    def is_done(self, store: Store, point: Point, now: Fingerprint) -> bool:
        """Whether the row that is there is of this very measurement; says which field differs where it is not."""
        row = store.rows.get(point.id)
        if row is None:
            return False
        differs = differing(row["fingerprint"], now)
        if differs:
            self.note(f"{point.id}: measured again, it differs in {'; '.join(differs)}")
            return False
        if row["status"] != "ok":
            return not self.retry_failed
        return not (self.retry_disturbed and disturbed(row))

    # --- one point

    def do(self, store: Store, engines: Session, point: Point) -> str | None:
        """Measure a point and keep it, unless it is done. Returns why the sweep must stop here, or None."""
        schedule = self.schedule(point)
        now, refusal = self.fingerprint(point, schedule)
        if point.id in self.done or self.is_done(store, point, now):
            self.kept += point.id not in self.done
            self.done.add(point.id)
            return None
        expected = estimate(point, schedule, store.rows.values(), loaded=engines.loaded(point.setting))
        refusal = refusal or self._above_saturated(store, point)
        if refusal is None and (why := self.budget.refuses(expected.whole_s)):
            return f"{point.id}: {why} ({expected.basis})"
        row = self._row(store, engines, point, schedule, (now, refusal, expected))
        if row["status"] != "ok" and row["failure"]["kind"] == "too slow" and (self.budget.left_s or 1.0) <= 0:
            return f"{point.id}: cut off, the budget is used up; it is measured again by the next run"
        store.commit(point.id, row)
        if row["status"] != "ok":
            self.note(f"{point.id}: {row['failure']['kind']}: {row['failure']['message']}")
        for warning in row.get("guards", {}).get("warnings", []):
            self.note(f"{point.id}: {warning}")
        self.ran += 1
        self.done.add(point.id)
        return None

    def _above_saturated(self, store: Store, point: Point) -> PointFailure | None:
        """Why a rate need not be tried: a lower one was too much already."""
        if not self.spec.load.skip_above_saturated or point.rate_per_s is None:
            return None
        for row in self._mine(store):
            asked, lower = row["asked"], row["asked"]["rate_per_s"]
            too_much = (row["failure"] or {}).get("kind") == "over-saturated" or (
                row.get("guards") or {}).get("saturated")
            if (row["setting_key"], asked["workload"]) == (point.setting.key, point.workload) and too_much \
                    and lower is not None and lower < point.rate_per_s:
                return PointFailure("not tried", f"{point.rate_per_s:g}/s is above {lower:g}/s, at which answers piled "
                                    f"up ({row['id']})")
        return None

    def _row(
        self, store: Store, engines: Session, point: Point, schedule: Sequence[Planned],
        known: tuple[Fingerprint, PointFailure | None, Estimate],
    ) -> Row:
        now, failure, expected = known
        folder, started, begun = store.begin(point.id), now_utc(), time.monotonic()
        fields: dict[str, Any] = {}
        start_s = None
        if failure is None:
            host, start_s, failure = engines.host_for(point.setting)
            if host is not None:
                measured = measure(
                    point, self.spec, host, schedule, folder, here=self.here, usd_per_hour=self.budget.usd_per_hour,
                    shares_prefix=any(item.prefix_ids for item in schedule),
                    deadline_s=self._deadline_s(point, schedule),
                )
                fields, failure = measured.fields, measured.failure
                if failure is not None and not (failure.kind == "over-saturated" and quiet(host)):
                    engines.stop()  # what went wrong once is not measured on
        wall_s = time.monotonic() - begun
        return {
            "status": "ok" if failure is None else "failed", "asked": point.as_dict(),
            "setting_key": point.setting.key, "label": point.setting.label, "started_at_utc": started,
            "start_s": start_s if failure is None else None, "wall_s": wall_s, "wall_usd": self.budget.usd(wall_s),
            "usd_per_hour": self.budget.usd_per_hour, "estimated_s": expected.whole_s, "estimate": expected.basis,
            "environment": self._environment(point.setting), "fingerprint": now,
            "failure": None if failure is None else failure.as_dict(), "metrics": {}, "slo": None,
            **NOTHING_SERVED, **fields,
        }

    def _deadline_s(self, point: Point, schedule: Sequence[Planned]) -> float:
        most_s = self.spec.max_point_s
        if point.searched:
            most_s = min(most_s, 2 * sending_s(schedule) + SEARCH_SLACK_S)
        left_s = self.budget.left_s
        return most_s if left_s is None else max(0.1, min(most_s, left_s))

    def _environment(self, setting: Setting) -> str:
        """Write what the point ran on, once; returns its name under environments/."""
        try:
            packages = engine_packages(self.shelf.engine(setting.engine))
        except UsageError:
            packages = {}
        value = {**self.facts, "engine": setting.engine, "engine_packages": packages}
        name = f"{digest(value)[:16]}.json"
        target = self.folder / ENVIRONMENTS / name
        if not target.exists():
            write_json(target, value)
        return name

    # --- all of them

    def steps(self, store: Store) -> Iterator[Point]:
        """The points in order: what stands in the file, searches setting by setting, repeats where they decide."""
        if self.spec.load.search is None:
            yield from points(self.spec)
        else:
            for setting, workloads in cases(self.spec):
                for workload in workloads:
                    while True:  # a row counts once it is known to be of this very measurement
                        found = search.next_point(self.spec, setting, workload, self._mine(store))
                        if isinstance(found, search.Found):
                            break
                        yield found
        while self.spec.decide is not None:
            more = [point for point in ranking.next_repeats(self.spec.decide, self.spec.seed, self._mine(store))
                    if point.id not in self.done]
            if not more:
                break
            yield from sorted(more, key=lambda point: (point.setting.key, point.workload, point.load))

    def _mine(self, store: Store) -> list[Row]:
        return [store.rows[name] for name in sorted(self.done) if name in store.rows]

    def run(self) -> dict[str, Any]:
        """Returns what result.json holds. KeyboardInterrupt goes on; what was measured is kept, no engine runs."""
        self.spec.check_workloads(FILE)
        total = len(points(self.spec))
        stopped = None
        with opened(self.folder) as store:
            write_text(self.folder / FILE, redact(self.config_text))
            with session(self.start or self.shelf.start, self.folder / LOGS) as engines:
                for point in self.steps(store):
                    stopped = self.do(store, engines, point)
                    if stopped is not None:
                        self.note(f"stopped: {stopped}")
                        break
                    self.on_point(len(self.done), max(total, len(self.done)))
            result = self.result(store, engines, stopped)
            write_json(self.folder / RESULT, result)
        return result

    def result(self, store: Store, engines: Session, stopped: str | None) -> dict[str, Any]:
        mine = self._mine(store)
        return {
            "kind": "workbench.sweep", "schema": 1, "name": self.spec.name, "points": len(mine),
            "ok": sum(row["status"] == "ok" for row in mine), "failed": failures(mine), "ran": self.ran,
            "kept": self.kept, "other_rows": len(store.rows) - len(mine), "stopped": stopped,
            "used_s": self.budget.used_s, "used_usd": self.budget.usd(self.budget.used_s), "loads_s": engines.loads_s,
            "searches": self._searches(store), "ranking": self._ranking(mine),
        }

    def _searches(self, store: Store) -> list[dict[str, Any]]:
        if self.spec.load.search is None:
            return []
        found = []
        for setting, workloads in cases(self.spec):
            for workload in workloads:
                answer = search.next_point(self.spec, setting, workload, self._mine(store))
                done = asdict(answer) if isinstance(answer, search.Found) else {"why": "not finished"}
                found.append({"setting": setting.key, "label": setting.label, "workload": workload, **done})
        return found

    def _ranking(self, mine: Sequence[Row]) -> list[dict[str, Any]]:
        metric = self.spec.decide.metric if self.spec.decide else "output_tok_per_s"
        return [
            {"workload": workload, "load": load, "metric": metric,
             "pairs": [asdict(pair) for pair in ranking.pairs(runs, metric)]}
            for (workload, load), runs in sorted(ranking.by_case(mine).items()) if len(runs) > 1
        ]


def failures(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many points failed in which way."""
    kinds = [row["failure"]["kind"] for row in rows if row["failure"] is not None]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
