"""The numbers of a report: named, with unit, origin, n and interval. The README and other tools read these."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workbench.figures.chart import Origin

MIME = "application/vnd.workbench.results+json"


@dataclass(frozen=True, slots=True)
class Result:
    """One number. `low` and `high` are the ends of its interval or range, `n` the independent values behind it."""

    name: str
    value: float | int | str | None
    unit: str
    origin: Origin
    n: int | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """Shown in a notebook's cell; the runner collects every such output into results.json."""

    items: tuple[Result, ...]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        lines = (f"{item.name} = {item.value} {item.unit} ({item.origin})" for item in self.items)
        return {MIME: [asdict(item) for item in self.items], "text/plain": "\n".join(lines)}


def collect(notebook: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every result that the cells showed, in order; a name given twice keeps its last value."""
    found: dict[str, dict[str, Any]] = {}
    for output in outputs(notebook):
        for item in output.get("data", {}).get(MIME, ()):
            found[item["name"]] = dict(item)
    return list(found.values())


def outputs(notebook: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    for cell in notebook["cells"]:
        yield from cell.get("outputs", ())
