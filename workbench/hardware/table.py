"""CSV tables of facts: every value checked, and a wrong one named by file, line, column and remedy."""

import csv
import difflib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from workbench.errors import UsageError

T = TypeVar("T")
ABSURD = 1e20  # above any fact kept here; sentinels such as 1e38 are caught by it


class Line:
    """One row: values by column, each read with its own check."""

    def __init__(self, place: str, values: Mapping[str, str]) -> None:
        self.place, self._values = place, values

    def text(self, column: str) -> str:
        """The value without surrounding white space; empty text is allowed."""
        value = self._values.get(column)
        if value is None:
            raise UsageError(f"{self.place}: {column}: the column is missing; the file's first line names the columns")
        return value.strip()

    def words(self, column: str) -> tuple[str, ...]:
        return tuple(word.strip() for word in self.text(column).split("|") if word.strip())

    def positive(self, column: str) -> float:
        """A number above 0; NaN, infinity, 0, negative values and sentinels are refused."""
        text = self.text(column)
        try:
            value = float(text)
        except ValueError:
            raise self.error(column, "is no number; correct it or leave the row out") from None
        if not math.isfinite(value) or not 0 < value < ABSURD:
            raise self.error(column, "must be above 0 and finite (0, -1 and huge values mean 'unknown' elsewhere);"
                                     " correct it or leave the row out")
        return value

    def optional(self, column: str) -> float | None:
        """As `positive`, or None where the field is empty."""
        return self.positive(column) if self.text(column) else None

    def whole(self, column: str, least: int = 1) -> int:
        text = self.text(column)
        if not re.fullmatch(r"\d{1,12}", text) or int(text) < least:
            raise self.error(column, f"must be a whole number, {least} or more; correct it or leave the row out")
        return int(text)

    def one_of(self, column: str, known: Iterable[str]) -> str:
        text = self.text(column)
        if text not in (choices := tuple(known)):
            raise self.error(column, f"must be one of {', '.join(choices)}")
        return text

    def error(self, column: str, problem: str) -> UsageError:
        return UsageError(f"{self.place}: {column}: {self._values.get(column, '')!r} {problem}")


def lines(path: Path) -> list[Line]:
    """Every row of a CSV file with a header; a row of the wrong length is refused."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = [(reader.line_num, row) for reader in [csv.reader(handle, strict=True)] for row in reader]
    except OSError as error:
        raise UsageError(f"{path.name}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path.name}: not a CSV file in UTF-8: {error}") from error
    if not rows:
        raise UsageError(f"{path.name}: empty; its first line names the columns")
    header = [name.strip() for name in rows[0][1]]
    found = []
    for number, row in rows[1:]:
        if not row:
            continue
        if len(row) != len(header):
            raise UsageError(f"{path.name}:{number}: {len(row)} fields where the first line names {len(header)};"
                             " the row is cut or has a stray comma: correct it or leave it out")
        found.append(Line(f"{path.name}:{number}", dict(zip(header, row, strict=True))))
    return found


def plain(name: str) -> str:
    """A name as it is compared: no case, no punctuation, no maker's name in front."""
    text = re.sub(r"[^a-z0-9]", "", name.lower())
    return re.sub(r"^(nvidia|amd|apple|google)?(geforce|instinct)?(?=.)", "", text)


def lookup(table: Mapping[str, T], aliases: Mapping[str, str], name: str, kind: str, remedy: str) -> T:
    """The entry whose name or alias is `name`, or one line with the nearest ones. `aliases`: plain alias to name."""
    wanted = plain(name)
    if wanted in aliases:
        return table[aliases[wanted]]
    near = dict.fromkeys(aliases[key] for key in difflib.get_close_matches(wanted, aliases, n=3, cutoff=0.5))
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(sorted(table))};"
    raise UsageError(f"{kind} {name!r} is not known; {hint} {remedy}")
