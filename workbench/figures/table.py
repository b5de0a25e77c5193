"""A table as data, shown as HTML in reports and as Markdown in the gallery; every cell is escaped."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from workbench.figures import escape

MIME = "application/vnd.workbench.table+json"
SHORT_CHARS = 22  # a column without longer texts is not broken into lines
_NUMBER = re.compile(r"[+\-±<>]?\d|n/a$|none$|$")


@dataclass(frozen=True, slots=True)
class Table:
    """Columns, rows of text, and a caption that says origin and n. The first column is the row's name."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(row)} cells in a table of {len(self.columns)} columns")

    def as_html(self) -> str:
        kinds = [self._kind(i) for i in range(len(self.columns))]
        head = "".join(_cell(name, "th", kind) for name, kind in zip(self.columns, kinds, strict=True))
        body = "".join(
            "<tr>" + "".join(_cell(cell, "td" if i else "th", kinds[i]) for i, cell in enumerate(row)) + "</tr>"
            for row in self.rows
        )
        caption = f"<caption>{escape.prose(self.caption)}</caption>" if self.caption else ""
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def as_markdown(self) -> str:
        lines = [self.columns, tuple("---:" if self.numeric(i) else "---" for i in range(len(self.columns)))]
        text = [
            "| " + " | ".join(cell if number == 1 else escape.markdown(cell) for cell in row) + " |"
            for number, row in enumerate([*lines, *self.rows])
        ]
        return "\n".join(text) + (f"\n\n*{escape.markdown(self.caption)}*" if self.caption else "")

    def numeric(self, column: int) -> bool:
        """Numbers stand right, words left; the first column names the row."""
        return column > 0 and all(_NUMBER.match(row[column]) for row in self.rows)

    def _kind(self, column: int) -> str:
        """Its cells' class: words stand left, and short ones in one line."""
        if self.numeric(column):
            return ""
        short = max((len(row[column]) for row in (self.columns, *self.rows)), default=0) <= SHORT_CHARS
        return "word short" if short else "word"

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> "Table":
        return Table(tuple(raw["columns"]), tuple(tuple(row) for row in raw["rows"]), raw["caption"])

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        plain = "\n".join("  ".join(row) for row in [self.columns, *self.rows])
        return {MIME: asdict(self), "text/html": self.as_html(), "text/markdown": self.as_markdown(),
                "text/plain": escape.plain(plain)}


def _cell(text: str, tag: str, kind: str) -> str:
    given = f' class="{kind}"' if kind else ""
    shown = escape.prose(text) if kind else escape.html(text).replace(" (", " <wbr>(")  # an interval may go below
    return f"<{tag}{given}>{shown}</{tag}>"


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: significant digits, thousands apart; n/a where it is unknown."""
    if value is None:
        return "n/a"
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        return f"{value:.{digits}g}"
    places = max(0, digits - len(str(int(abs(value)))) if abs(value) >= 1 else digits)
    return f"{value:,.{places}f}"


def percent(value: float | None, digits: int = 1) -> str:
    return "n/a" if value is None else f"{value * 100:.{digits}f} %"
