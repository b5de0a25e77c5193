"""A shipped plane scenario played as it is and with lines changed, over seeds: what chapters compare and draw."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sims.plane.run import PlaneResult
from sims.plane.scenario import PlaneCase
from workbench.figures.chart import Panel, Series
from workbench.figures.table import Table, number
from workbench.paths import data
from workbench.report.results import Result
from workbench.runlog.table import RunLog
from workbench.stats.intervals import t_interval

Floats = NDArray[np.float64]
Figure = Callable[[PlaneResult], float]
SECOND = 1e-9
ENDS = ("ok", "rejected", "shed", "timeout", "error", "cancelled")


def shipped(name: str) -> str:
    return (data("scenarios") / "plane" / f"{name}.toml").read_text(encoding="utf-8")


def changed(text: str, *edits: tuple[str, str]) -> str:
    """Each edit made; its old text occurs exactly once, else the scenario is no longer what the chapter thinks."""
    for old, new in edits:
        if text.count(old) != 1:
            raise ValueError(f"{old!r} occurs {text.count(old)} times")
        text = text.replace(old, new)
    return text


def without(text: str, *tables: str) -> str:
    """Without these tables (`control.queue`) and all inside them."""
    kept, cut, seen = [], False, set[str]()
    for line in text.splitlines():
        if line.startswith("["):
            table = line.partition("#")[0].strip().strip("[]")
            inside = [one for one in tables if table == one or table.startswith(f"{one}.")]
            cut = bool(inside)
            seen.update(inside)
        if not cut:
            kept.append(line)
    if seen != set(tables):
        raise ValueError(f"no tables {set(tables) - seen}")
    return "\n".join(kept) + "\n"


@dataclass(frozen=True)
class Played:
    """Every variant under the same seeds: name -> a result a seed."""

    seeds: tuple[int, ...]
    runs: Mapping[str, Sequence[PlaneResult]]
    profile: str = field(default="")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.runs)

    @property
    def basis(self) -> str:
        """For captions."""
        span = f"seeds {self.seeds[0]} to {self.seeds[-1]}" if len(self.seeds) > 1 else f"seed {self.seeds[0]}"
        whiskers = ", whiskers are 95 % intervals of the mean" if len(self.seeds) > 1 else ""
        return f"n = {len(self.seeds)} runs of each, {span}{whiskers}; profile {self.profile}"

    def over_seeds(self, figure: Figure) -> dict[str, tuple[float, float | None, float | None]]:
        """Mean and the ends of its interval, of each variant; one seed has no interval."""
        found: dict[str, tuple[float, float | None, float | None]] = {}
        for name, runs in self.runs.items():
            values = np.array([figure(run) for run in runs])
            ends = t_interval(values) if len(values) > 1 else None
            low, high = (None, None) if ends is None else (max(ends.low, 0.0), ends.high)
            found[name] = (float(values.mean()), low, high)
        return found

    def series(self, label: str, figure: Figure, colour: int = 0) -> Series:
        found = self.over_seeds(figure)
        mean, low, high = (tuple(map(_known, column)) for column in zip(*found.values(), strict=True))
        whiskers = (low, high) if len(self.seeds) > 1 else ((), ())
        return Series(label, self.names, mean, "simulated", "points", colour, *whiskers)

    def panel(self, y_axis: str, figures: Mapping[str, Figure], *, first_colour: int = 0, log_y: bool = False) -> Panel:
        made = [self.series(label, figure, first_colour + i) for i, (label, figure) in enumerate(figures.items())]
        return Panel(y_axis, tuple(made), log_y=log_y)

    def results(self, stem: str, unit: str, figure: Figure) -> list[Result]:
        """`STEM_VARIANT` for results.json."""
        return [Result(f"{stem}_{name.replace(' ', '_')}", mean, unit, "simulated", len(self.seeds), low, high)
                for name, (mean, low, high) in self.over_seeds(figure).items() if _known(mean) is not None]

    def table(self, columns: Mapping[str, Figure], caption: str) -> Table:
        """A row a variant, a column a figure: mean, and half the width of its interval."""
        found = {label: self.over_seeds(figure) for label, figure in columns.items()}
        rows = tuple((name, *(_cell(found[label][name]) for label in columns)) for name in self.names)
        return Table(("variant", *columns), rows, f"{caption} Simulated; {self.basis}.")


def play(variants: Mapping[str, str], seeds: Sequence[int]) -> Played:
    """Each text as a scenario, under each seed."""
    cases = {name: PlaneCase.of(text, "scenario.toml", data("scenarios") / "plane") for name, text in variants.items()}
    runs = {name: [case.run(seed, keep_journal=True) for seed in seeds] for name, case in cases.items()}
    first = next(iter(cases.values()))
    return Played(tuple(seeds), runs, str(first.scenario.fleet.profile))


def mine(log: RunLog, tenant: str | None = None) -> NDArray[np.bool_]:
    return np.ones(len(log), dtype=bool) if tenant is None else np.asarray(log.text("tenant") == tenant, dtype=bool)


def share(outcomes: Sequence[str], tenant: str | None = None) -> Figure:
    """Of the tenant's requests, the part that ended in one of these ways."""
    def figure(run: PlaneResult) -> float:
        return float(np.isin(run.log.text("outcome")[mine(run.log, tenant)], outcomes).mean())
    return figure


def ttft_s(q: float = 0.95, tenant: str | None = None) -> Figure:
    """A quantile over the answered."""
    def figure(run: PlaneResult) -> float:
        rows = mine(run.log, tenant) & run.log.is_ok
        return float(np.quantile(waits_s(run.log)[rows], q)) if rows.any() else float("nan")
    return figure


def waits_s(log: RunLog) -> Floats:
    """From sending to the first token; NaN without one."""
    return np.asarray((log.floats("first_token_ns") - log.floats("sent_ns")) * SECOND)


def replica_hours(run: PlaneResult) -> float:
    return sum(run.replica_ns) * SECOND / 3600


def over_time(run: PlaneResult, every_s: float, kind: str, tenant: str | None = None) -> tuple[Floats, Floats]:
    """(start of each bin in s, value): `answered`, `refused` and `failed` per second by when they ended, `ttft` its
    95th percentile by when they were sent (NaN in an empty bin)."""
    log, rows = run.log, mine(run.log, tenant)
    if kind == "ttft":
        return ttft_over_time(run, every_s, rows)
    edges = _edges(run, every_s)
    wanted = {"answered": ("ok",), "refused": ("rejected", "shed"), "failed": ("error", "timeout", "cancelled")}[kind]
    ended = log.floats("end_ns")[rows & np.isin(log.text("outcome"), wanted)] * SECOND
    counts, _ = np.histogram(ended[~np.isnan(ended)], edges)
    return edges[:-1], counts / every_s


def ttft_over_time(
    run: PlaneResult, every_s: float, rows: NDArray[np.bool_], q: float = 0.95,
) -> tuple[Floats, Floats]:
    """(start of each bin in s, the quantile over the answered of `rows` sent in it; NaN where nobody was)."""
    rows = rows & run.log.is_ok
    sent_s, wait_s = run.log.floats("sent_ns")[rows] * SECOND, waits_s(run.log)[rows]
    edges = _edges(run, every_s)
    place = np.digitize(sent_s, edges) - 1
    values = [np.quantile(wait_s[place == i], q) if (place == i).any() else np.nan for i in range(len(edges) - 1)]
    return edges[:-1], np.array(values)


def _edges(run: PlaneResult, every_s: float) -> Floats:
    return np.arange(0.0, run.stop_ns * SECOND + every_s, every_s)


def time_series(label: str, found: tuple[Floats, Floats], colour: int) -> Series:
    x, y = found
    return Series(label, tuple(map(float, x)), tuple(None if np.isnan(value) else float(value) for value in y),
                  "simulated", "steps", colour)


def said(mean: float, low: float | None, high: float | None, digits: int = 3) -> str:
    """A number with its interval, in words."""
    ends = "" if low is None or high is None else f" ({number(low, digits)} to {number(high, digits)})"
    return f"{number(mean, digits)}{ends}"


def _cell(item: tuple[float, float | None, float | None]) -> str:
    mean, low, high = item
    if _known(mean) is None:
        return "n/a"
    return number(mean) if low is None or high is None else f"{number(mean)} ± {number((high - low) / 2)}"


def _known(value: float | None) -> float | None:
    """Without the NaN of a figure that this variant cannot have."""
    return None if value is None or np.isnan(value) else value
