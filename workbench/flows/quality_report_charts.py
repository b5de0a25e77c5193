"""Quality against memory, speed and money: what is lost of each task's score, and KL divergence."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from workbench.figures.chart import Chart, Origin, Panel, Series
from workbench.flows.sweeps.report import pareto
from workbench.quality.table import QualityRow

MIB = 2**20
LEAST_KL = 1e-9  # a logarithmic axis has no 0: an interval's end below is drawn here
FRONT_COLOUR, KL_COLOUR = 6, 5


@dataclass(frozen=True, slots=True)
class Axis:
    """What quality is weighed against; `side` is 1 where more is better."""

    name: str
    title: str
    value: Callable[[QualityRow], float | None]
    side: int
    origin: Origin


def _bytes(row: QualityRow) -> float | None:
    return row.values["bytes"] / MIB if "bytes" in row.values else None


def _speed(row: QualityRow) -> float | None:
    return row.figures["tok_per_s"].mean if "tok_per_s" in row.figures else None


AXES = (
    Axis("memory", "weights (MiB)", _bytes, -1, "measured"),
    Axis("speed", "output tokens per second", _speed, 1, "measured"),
    Axis("money", "USD per million output tokens", lambda row: row.values.get("usd_per_million_tok"), -1, "derived"),
)


def paretos(rows: Sequence[QualityRow]) -> Iterator[Chart]:
    """A chart an axis, of the rows whose place on it is known; other engines and KV types than the first row's are in
    the tables alone."""
    alike = [row for row in rows if all(row.words[name] == rows[0].words[name] for name in ("engine", "kv_type"))]
    for axis in AXES:
        found = sorted(((x, row) for row in alike if (x := axis.value(row)) is not None), key=lambda item: item[0])
        if len(found) > 1:
            yield _chart(axis, found)


def _chart(axis: Axis, found: Sequence[tuple[float, QualityRow]]) -> Chart:
    panels = [Panel("share of the base's score lost (%)", _tasks(found))]
    far = [(x, row) for x, row in found if "kl_mean" in row.figures and row.figures["kl_mean"].mean > 0]
    if far:
        panels.append(Panel("mean KL divergence to the base (nats)", (_front(axis, far), _kl(far)), log_y=True))
    also = "" if axis.name == "memory" else " The table has the intervals of what is measured on the x axis."
    best = ", ".join(far[i][1].label for i in _on_front(axis, far))
    caption = (
        f"Quality against {axis.title}; bars are 95 % intervals, paired with the base item by item. An interval that "
        f"reaches 0 loses nothing that shows. No other row is better in both than {best or 'the base'}, by mean KL."
    )
    return Chart(
        f"pareto-{axis.name}", axis.title, tuple(panel for panel in panels if panel.series), caption + also,
        f"{len(found)} rows", f"What {len(found)} quantisations lose, over {axis.title}.", marks=_marks(found),
    )


def _marks(found: Sequence[tuple[float, QualityRow]]) -> tuple[tuple[float, str], ...]:
    """Names at their places; those nearly at one place share a mark, or they could not be read."""
    wide = (found[-1][0] - found[0][0]) / 30
    marks: list[tuple[float, str]] = []
    for x, row in found:
        if marks and x - marks[-1][0] < wide:
            marks[-1] = (marks[-1][0], f"{marks[-1][1]}, {row.label}")
        else:
            marks.append((x, row.label))
    return tuple(marks)


def _tasks(found: Sequence[tuple[float, QualityRow]]) -> tuple[Series, ...]:
    """Side by side by a hair, so that intervals at one place are told apart."""
    names = list(dict.fromkeys(name for _, row in found for name in row.tasks))
    hair = (found[-1][0] - found[0][0]) / 150
    series = []
    for i, name in enumerate(names):
        scores = [(x, row.tasks[name]) for x, row in found if name in row.tasks]
        known = [(x, score.retained, score.retained_low) for x, score in scores
                 if score.retained is not None and score.retained_low is not None]
        if known:
            xs = tuple(x + hair * (i - (len(names) - 1) / 2) for x, _, _ in known)
            lost, most = (tuple(100 * (1 - item[k]) for item in known) for k in (1, 2))
            least = tuple(2 * y - high for y, high in zip(lost, most, strict=True))
            series.append(Series(name, xs, lost, "measured", "points", i, least, most))
    return tuple(series)


def _kl(far: Sequence[tuple[float, QualityRow]]) -> Series:
    kls = [row.figures["kl_mean"] for _, row in far]
    return Series("KL divergence", tuple(x for x, _ in far), tuple(kl.mean for kl in kls), "measured", "points",
                  KL_COLOUR, tuple(max(kl.low, LEAST_KL) for kl in kls), tuple(kl.high for kl in kls))


def _on_front(axis: Axis, far: Sequence[tuple[float, QualityRow]]) -> list[int]:
    return pareto([(-axis.side * x, row.figures["kl_mean"].mean) for x, row in far])


def _front(axis: Axis, far: Sequence[tuple[float, QualityRow]]) -> Series:
    best = sorted((far[i][0], far[i][1].figures["kl_mean"].mean) for i in _on_front(axis, far))
    xs, ys = zip(*best, strict=True)
    return Series("Pareto front", xs, ys, "measured", "line", FRONT_COLOUR)
