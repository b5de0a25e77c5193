"""A chart as data: panels side by side over one x axis, series with their origin, a caption, a text alternative."""

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

MIME = "application/vnd.workbench.chart+json"
Origin = Literal["measured", "simulated", "imported", "vendor", "roofline", "derived"]
# Okabe & Ito, "Color Universal Design" (2008): told apart with every common colour blindness
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#6b6b6b"
AXIS_CHARS = 30
MOST_MARKED = 24  # points of a line that are marked one by one
MARK_CHARS = 2  # a longer text beside a mark stands upright


@dataclass(frozen=True, slots=True)
class Series:
    """Named values over x; None leaves a gap. `low` and `high` are the ends of each value's interval, `x_low` and
    `x_high` those of its place on x, `labels` the points' names, drawn beside them."""

    name: str
    x: tuple[float | str, ...]
    y: tuple[float | None, ...]
    origin: Origin
    kind: Literal["line", "points", "bars", "steps"] = "line"  # steps: holds until the next x
    colour: int = 0
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    x_low: tuple[float | None, ...] = ()
    x_high: tuple[float | None, ...] = ()
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        parts = (self.low, self.high, self.x_low, self.x_high, self.labels)
        lengths = {len(self.x), len(self.y)} | {len(part) for part in parts if part}
        if len(lengths) != 1 or bool(self.low) != bool(self.high) or bool(self.x_low) != bool(self.x_high):
            raise ValueError(f"series {self.name!r}: x, y, low and high differ in length: {sorted(lengths)}")


@dataclass(frozen=True, slots=True)
class Panel:
    """One y axis. `level` draws a labelled horizontal line: a target."""

    y_axis: str
    series: tuple[Series, ...]
    level: float | None = None
    level_label: str = ""
    log_y: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure. `name` names its file; `caption` says what one sees; `basis` where the numbers come from."""

    name: str
    x_axis: str
    panels: tuple[Panel, ...]
    caption: str
    basis: str
    alt: str
    categories: tuple[str, ...] = ()  # given: x is these names in this order
    marks: tuple[tuple[float, str], ...] = ()  # (x, what happened there): a vertical line in every panel
    log_x: bool = False

    @property
    def origins(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(s.origin for panel in self.panels for s in panel.series))

    @property
    def full_caption(self) -> str:
        """The caption as it is printed: what, then origin and basis."""
        return f"{self.caption} Origin: {', '.join(self.origins)}; {self.basis}."

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> "Chart":
        panels = tuple(
            Panel(**{**panel, "series": tuple(_series(series) for series in panel["series"])})
            for panel in raw["panels"]
        )
        marks = tuple((at, text) for at, text in raw.get("marks", ()))
        return Chart(**{**raw, "panels": panels, "categories": tuple(raw["categories"]), "marks": marks})

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """What a notebook shows: plotly's JSON for JupyterLab, the chart itself for the report, text for the rest."""
        from workbench.figures.interactive import plotly_json

        return {
            MIME: self.as_dict(),
            "application/vnd.plotly.v1+json": plotly_json(self),
            "text/plain": f"[{self.name}] {self.alt} {self.full_caption}",
        }


def _series(raw: Mapping[str, Any]) -> Series:
    several = ("x", "y", "low", "high", "x_low", "x_high", "labels")
    return Series(**{**raw, **{key: tuple(raw.get(key, ())) for key in several}})


def folded(axis: str) -> list[str]:
    """An upright label in lines: a long one would be cut off at the figure's edge."""
    return textwrap.wrap(axis, AXIS_CHARS) or [""]


def drawn(series: Series) -> str:
    """The legend's text: a series is never shown without its origin."""
    return series.name if series.origin in series.name else f"{series.name} ({series.origin})"
