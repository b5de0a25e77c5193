"""CSV files of whole numbers and microseconds, read strictly: what is wrong is one line with file, line and value."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from workbench.errors import Failure, UsageError

PS_PER_US = 1_000_000
LONGEST_US = 60e6  # a kernel of a minute is a broken row


def place(path: Path) -> str:
    """A table and the split that it is of, as messages name it: tp2/dense.csv."""
    return f"{path.parent.name}/{path.name}"


def rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) of a CSV whose header has at least `columns`; blank lines are skipped."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise Failure(f"{place(path)}: line 1: column {missing[0]!r} is missing; it needs {', '.join(columns)}")
            for row in reader:
                if None in row or None in row.values():
                    raise Failure(f"{place(path)}: line {reader.line_num}: {len(row)} cells do not fit the header")
                yield reader.line_num, row
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; a kernel table folder holds it") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Failure(f"{place(path)}: cannot be read as CSV: {error}") from error


def whole(path: Path, line: int, row: dict[str, str], column: str, low: int = 0) -> int:
    text = row[column]
    try:
        value = int(text)
    except ValueError:
        raise Failure(f"{place(path)}: line {line}: {column} is {text!r}; it must be a whole number") from None
    if value < low:
        raise Failure(f"{place(path)}: line {line}: {column} is {value}; it must be at least {low}")
    return value


def number(path: Path, line: int, row: dict[str, str], column: str) -> float:
    text = row[column]
    try:
        value = float(text)
    except ValueError:
        raise Failure(f"{place(path)}: line {line}: {column} is {text!r}; it must be a number") from None
    if not abs(value) < float("inf"):
        raise Failure(f"{place(path)}: line {line}: {column} is {text}; it must be finite")
    return value


def time_ps(path: Path, line: int, row: dict[str, str], column: str = "time_us") -> int:
    """Microseconds as whole picoseconds: exact for what such files state."""
    value = number(path, line, row, column)
    if not 0 < value <= LONGEST_US:
        raise Failure(f"{place(path)}: line {line}: {column} is {row[column]}; a kernel takes more than 0 us, "
                      "at most a minute")
    return max(1, round(value * PS_PER_US))
