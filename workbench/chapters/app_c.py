"""Appendix C: symptoms, how each is seen in a run log, what causes it and what helps; each reproduced here."""

from collections.abc import Mapping
from dataclasses import dataclass

from workbench.chapters.about import chosen, within
from workbench.chapters.app_c_troubles import TROUBLES, Floats
from workbench.chapters.playing import said
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, percent
from workbench.report.prose import Prose
from workbench.report.results import Result, Results
from workbench.stats.intervals import Interval, t_interval


@dataclass(frozen=True)
class Seen:
    """One trouble's figure, a value a seed, the same draws in both."""

    ill: Floats
    well: Floats

    @property
    def left(self) -> Interval | None:
        """With the remedy, as a share of what it was, seed by seed; None where there was nothing."""
        return t_interval(self.well / self.ill) if (self.ill > 0).all() else None

    @property
    def sure(self) -> bool:
        """Whether it is surely less with the remedy."""
        return t_interval(self.ill - self.well).low > 0


Found = Mapping[str, Seen]


def experiment(troubles: str, seeds: int, quick: bool) -> Found:
    """Each trouble, ill and well; `quick`: six of them, on two seeds. Raises UsageError."""
    names = chosen("troubles", troubles, tuple(TROUBLES))
    within("seeds", seeds, 2, 50)
    names, seeds = (names[:6], 2) if quick else (names, seeds)
    span = range(1, seeds + 1)
    return {name: Seen(*TROUBLES[name].pair(span)) for name in names}


def guide(found: Found) -> Table:
    rows = tuple((TROUBLES[name].symptom, TROUBLES[name].seen, TROUBLES[name].cause, TROUBLES[name].remedy)
                 for name in found)
    return Table(("symptom", "how to see it in a run log", "cause", "remedy"), rows,
                 "Each row is reproduced below. The columns are those of the run log and of its summary.")


def proof(found: Found) -> Table:
    rows = []
    for name, seen in found.items():
        item = TROUBLES[name]
        rows.append((item.symptom, item.made, item.unit, *(_said(t_interval(each)) for each in (seen.ill, seen.well)),
                     "yes" if seen.sure else f"not sure, with {_n(found)} seeds"))
    return Table(("symptom", "made by", "unit of what is seen", "ill", "with the remedy", "less, surely"), tuple(rows),
                 f"Simulated; {_basis(found)}; in brackets 95 % intervals of the mean. Surely: the interval of the "
                 "paired difference leaves out zero. Files lie in sims/scenarios/plane.")


def picture(found: Found) -> Chart:
    """What is left of each symptom, as a share of what it was."""
    left = {name: seen.left for name, seen in found.items()}
    return Chart(
        "remedies", "trouble", (Panel("what is left with the remedy (share)", (Series(
            "left", tuple(left), tuple(None if row is None else row.mean for row in left.values()), "simulated",
            "points", 0, tuple(None if row is None else max(row.low, 0.0) for row in left.values()),
            tuple(None if row is None else row.high for row in left.values())),), level=1.0,
            level_label="as without"),),
        "Each symptom's own figure with the remedy, as a share of what it was without.",
        f"{_basis(found)}; whiskers are 95 % intervals of the paired ratio",
        "Points for each trouble: how much of its symptom is left once the remedy is in place.", tuple(left))


def numbers(found: Found) -> Results:
    rows = []
    for name, seen in found.items():
        for kind, each in (("ill", seen.ill), ("well", seen.well)):
            row = t_interval(each)
            rows.append(Result(f"{name}_{kind}", row.mean, TROUBLES[name].unit, "simulated", row.n, max(row.low, 0.0),
                               row.high))
    return Results(tuple(rows))


def answer(found: Found) -> Prose:
    left = {name: seen.left for name, seen in found.items()}
    known = {name: row for name, row in left.items() if row is not None}
    sure = sum(seen.sure for seen in found.values())
    if not known:
        return Prose(f"None of {len(found)} troubles showed under these {_n(found)} seeds; take more of them.")
    worst = max(known, key=lambda name: known[name].mean)
    row = known[worst]
    return Prose(
        f"{sure} of {len(found)} troubles are surely less with their remedy ({_n(found)} seeds); the one that leaves "
        f"most is that of **{TROUBLES[worst].symptom}**: {percent(row.mean)} of its figure is left "
        f"({percent(max(row.low, 0.0))} to {percent(row.high)})."
    )


def _n(found: Found) -> int:
    return len(next(iter(found.values())).ill)


def _basis(found: Found) -> str:
    return f"n = {_n(found)} seeds (1 to {_n(found)}), the same draws ill and well; shipped profile of an H100"


def _said(row: Interval) -> str:
    return said(row.mean, max(row.low, 0.0), row.high)
