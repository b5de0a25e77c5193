"""Quality against memory, speed and money: what is lost of each task's score, and KL divergence."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from workbench.figures.chart import Chart, Origin, Panel, Series
from workbench.flows.sweeps.report import pareto
from workbench.quality.table import QualityRow, Score
from workbench.stats.intervals import Interval

MIB = 2**20
LEAST_KL = 1e-9  # a logarithmic axis has no 0: an interval's end below is drawn here
FRONT_COLOUR, KL_COLOUR = 6, 5
NAME_FRAC = 1 / 22  # of the axis: what an upright name needs beside its line

Placed = tuple[Interval, QualityRow]  # where a row stands on x


@dataclass(frozen=True, slots=True)
class Axis:
    """What quality is weighed against; `side` is 1 where more is better. A size is known without an interval."""

    name: str
    title: str
    place: Callable[[QualityRow], Interval | None]
    side: int
    origin: Origin


def _mib(row: QualityRow) -> Interval | None:
    if "bytes" not in row.values:
        return None
    size = row.values["bytes"] / MIB
    return Interval(size, size, size, 1)


def _usd(row: QualityRow) -> Interval | None:
    """Money is a price over a speed, so its interval is that of the speed, turned round."""
    speed, usd = row.figures.get("tok_per_s"), row.values.get("usd_per_million_tok")
    if speed is None or usd is None or speed.low <= 0:
        return None if usd is None else Interval(usd, usd, usd, 1)
    bill = usd * speed.mean
    return Interval(usd, bill / speed.high, bill / speed.low, speed.n)


AXES = (
    Axis("memory", "weights (MiB)", _mib, -1, "measured"),
    Axis("speed", "output tokens per second", lambda row: row.figures.get("tok_per_s"), 1, "measured"),
    Axis("money", "USD per million output tokens", _usd, -1, "derived"),
)


def paretos(rows: Sequence[QualityRow]) -> Iterator[Chart]:
    """A chart an axis, of the rows whose place on it is known; other engines and KV types than the first row's are in
    the tables alone."""
    alike = [row for row in rows
             if all(row.words.get(name) == rows[0].words.get(name) for name in ("engine", "kv_type", "gpus"))]
    for axis in AXES:
        found = sorted(((x, row) for row in alike if (x := axis.place(row)) is not None), key=lambda item: item[0].mean)
        if len(found) > 1:
            yield _chart(axis, found)


def _chart(axis: Axis, found: Sequence[Placed]) -> Chart:
    panels = [Panel("share of the base's score lost (%)", _tasks(found))]
    far = [(x, row) for x, row in found if "kl_mean" in row.figures and row.figures["kl_mean"].mean > 0]
    if far:
        panels.append(Panel("mean KL divergence to the base (nats)", (_front(axis, far), _kl(far)), log_y=True))
    best = ", ".join(far[i][1].label for i in _on_front(axis, far))
    wide = any(x.high > x.low for x, _ in far)
    caption = (
        f"Quality against {axis.title}; bars are 95 % intervals, paired with the base item by item. An interval that "
        f"reaches 0 loses nothing that shows. No other row is better in both than {best or 'the base'}, by mean KL."
        + (" On the left only what surely loses has its name." if far else "")
        + (" Bars along x, drawn on the right, are over repeats." if wide else "")
    )
    return Chart(
        f"pareto-{axis.name}", axis.title, tuple(panel for panel in panels if panel.series), caption,
        f"{len(found)} rows", f"What {len(found)} quantisations lose, over {axis.title}.",
        marks=() if far else _marks(found),
    )


def _span(found: Sequence[Placed]) -> float:
    return found[-1][0].mean - found[0][0].mean


def _marks(found: Sequence[Placed]) -> tuple[tuple[float, str], ...]:
    """Names at their places; those nearly at one place share a mark, or they could not be read."""
    marks: list[tuple[float, str]] = []
    for x, row in found:
        if marks and x.mean - marks[-1][0] < NAME_FRAC * _span(found):
            marks[-1] = (marks[-1][0], f"{marks[-1][1]}, {row.label}")
        else:
            marks.append((x.mean, row.label))
    return tuple(marks)


def _tasks(found: Sequence[Placed]) -> tuple[Series, ...]:
    """Side by side by a hair, so that intervals at one place are told apart; what surely loses is named where it loses
    most."""
    names = list(dict.fromkeys(name for _, row in found for name in row.tasks))
    hair = _span(found) / 150
    series = []
    for i, name in enumerate(names):
        known = [(x.mean + hair * (i - (len(names) - 1) / 2), row, lost) for x, row in found
                 if (lost := _lost(row.tasks.get(name))) is not None]
        if known:
            lost_by = tuple(item[2] for item in known)
            series.append(Series(
                name, tuple(item[0] for item in known), tuple(one.mean for one in lost_by), "measured", "points", i,
                tuple(one.low for one in lost_by), tuple(one.high for one in lost_by),
                labels=tuple(row.label if name == _hardest(row) else "" for _, row, _ in known)))
    return tuple(series)


def _lost(score: Score | None) -> Interval | None:
    """Percent of the base's score; the upper end is that of what is kept, turned round."""
    if score is None or score.retained is None or score.retained_low is None:
        return None
    lost, most = 100 * (1 - score.retained), 100 * (1 - score.retained_low)
    return Interval(lost, 2 * lost - most, most, score.share.n)


def _hardest(row: QualityRow) -> str | None:
    """The task that lost most, of those whose interval leaves out 0."""
    lost = {name: found.mean for name, score in row.tasks.items() if (found := _lost(score)) is not None
            and found.low > 0}
    return max(lost, key=lambda name: lost[name], default=None)


def _kl(far: Sequence[Placed]) -> Series:
    kls = [row.figures["kl_mean"] for _, row in far]
    places = [x for x, _ in far]
    return Series("KL divergence", tuple(x.mean for x in places), tuple(kl.mean for kl in kls), "measured", "points",
                  KL_COLOUR, tuple(max(kl.low, LEAST_KL) for kl in kls), tuple(kl.high for kl in kls),
                  tuple(x.low for x in places), tuple(x.high for x in places), tuple(row.label for _, row in far))


def _on_front(axis: Axis, far: Sequence[Placed]) -> list[int]:
    return pareto([(-axis.side * x.mean, row.figures["kl_mean"].mean) for x, row in far])


def _front(axis: Axis, far: Sequence[Placed]) -> Series:
    best = sorted((far[i][0].mean, far[i][1].figures["kl_mean"].mean) for i in _on_front(axis, far))
    xs, ys = zip(*best, strict=True)
    return Series("Pareto front", xs, ys, "measured", "line", FRONT_COLOUR)
