"""The quality table: a row per quantisation and engine, with distance, scores and speed; CSV, one file a model.

Every figure comes with its interval's ends and n, empty where it was not measured. `TASK_retained` is the share of the
base's score that is left, `TASK_retained_low` the low end of its interval, from answers paired by item.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workbench.errors import UsageError
from workbench.files import write_text
from workbench.stats.intervals import Interval

NAMES = ("model", "quant", "engine", "version", "kv_type", "weights_id")
LATER = ("gpus",)  # words that older tables lack; empty: one GPU, or none
SIZES = ("bits_per_weight", "bytes")
INTERVALS = ("perplexity", "kl_mean", "top_1", "tok_per_s")  # with _low, _high and _n
PLAIN = ("kl_median", "kl_p999", "flips", "flips_n", "usd_per_million_tok", "speed_memory_bytes")
WORDS = ("kl_kind", "speed_of", "beware")
SCORE = ("", "_low", "_high", "_n", "_retained", "_retained_low")
_TASK = re.compile(r"(\w+)_retained_low")
_MIX = re.compile(r"Q\d_K(_[SML])?", re.IGNORECASE)  # llama.cpp's: the type of a tensor depends on its layer


@dataclass(frozen=True, slots=True)
class Score:
    """Share right on one task; `retained` is over the base's score, None where the base has none."""

    share: Interval
    retained: float | None
    retained_low: float | None


@dataclass(frozen=True)
class QualityRow:
    """`figures` are the columns of INTERVALS, `values` those of SIZES and PLAIN, `words` the others.

    `called` stands for the label where that alone would not tell rows of one page apart.
    """

    words: Mapping[str, str]
    values: Mapping[str, float]
    figures: Mapping[str, Interval]
    tasks: Mapping[str, Score] = field(default_factory=dict)
    called: str = ""

    @property
    def label(self) -> str:
        quant, engine, kv_type = (self.words[name] for name in ("quant", "engine", "kv_type"))
        return self.called or label_of(quant, engine, kv_type, self.words.get("gpus", ""))

    def is_of(self, weights_id: str, kv_type: str) -> bool:
        """Weights without an id (of an endpoint, or never made) are nobody's."""
        return bool(weights_id) and (self.words["weights_id"], self.words["kv_type"]) == (weights_id, kv_type)


def mixes(quant: str) -> bool:
    """Whether the type of a tensor depends on how many layers there are."""
    return _MIX.fullmatch(quant) is not None


def label_of(quant: str, engine: str, kv_type: str, gpus: str = "") -> str:
    """What tells rows of a table apart: quantisation, then what is not llama.cpp with F16 keys and values."""
    tp = f" tp {gpus}" if gpus else ""
    if engine != "llama.cpp":
        return f"{quant} {engine}{tp}"
    return f"{quant}{tp}" if kv_type == "f16" else f"{quant} KV {kv_type}{tp}"


def text_of(rows: Sequence[QualityRow]) -> str:
    tasks = list(dict.fromkeys(name for row in rows for name in row.tasks))
    ends = ("", "_low", "_high", "_n")
    columns = [*NAMES, *LATER, *SIZES, *(f"{name}{end}" for name in INTERVALS for end in ends), *PLAIN,
               *(f"{name}{end}" for name in tasks for end in SCORE), *WORDS]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells: dict[str, str] = {**row.words, **{name: f"{value:.7g}" for name, value in row.values.items()}}
        for name, found in row.figures.items():
            cells |= _interval(name, found)
        for name, score in row.tasks.items():
            cells |= _interval(name, score.share)
            cells |= {f"{name}_{end}": f"{value:.5g}" for end in ("retained", "retained_low")
                      if (value := getattr(score, end)) is not None}
        writer.writerow(cells)
    return out.getvalue()


def _interval(name: str, found: Interval) -> dict[str, str]:
    ends = {"": found.mean, "_low": found.low, "_high": found.high}
    return {f"{name}{end}": f"{value:.6g}" for end, value in ends.items()} | {f"{name}_n": str(found.n)}


def write(rows: Sequence[QualityRow], path: Path) -> None:
    write_text(path, text_of(rows))


def read(path: Path) -> tuple[QualityRow, ...]:
    """Raises UsageError naming file, line and column."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            lines = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise UsageError(f"{path}: no such quality table; `workbench quality report --table` writes one") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path.name}: cannot be read as CSV: {error}") from None
    if not lines:
        raise UsageError(f"{path.name}: holds no rows")
    tasks = [match[1] for name in lines[0][1] if name and (match := _TASK.fullmatch(name))]
    return tuple(_row(f"{path.name}:{number}", row, tasks) for number, row in lines)


def _row(place: str, cells: Mapping[str, str | None], tasks: Iterable[str]) -> QualityRow:
    def number(name: str) -> float | None:
        text = (cells.get(name) or "").strip()
        try:
            return float(text) if text else None
        except ValueError:
            raise UsageError(f"{place}: {name}: {text!r} is no number; correct it or leave it empty") from None

    def interval(name: str) -> Interval | None:
        mean, low, high, n = (number(f"{name}{end}") for end in ("", "_low", "_high", "_n"))
        return None if mean is None or low is None or high is None else Interval(mean, low, high, int(n or 0))

    if missing := [name for name in NAMES if cells.get(name) is None]:
        raise UsageError(f"{place}: {missing[0]}: the column is missing; the file's first line names the columns")
    scores = {name: Score(share, number(f"{name}_retained"), number(f"{name}_retained_low"))
              for name in tasks if (share := interval(name)) is not None}
    return QualityRow(
        {name: (cells.get(name) or "").strip() for name in (*NAMES, *LATER, *WORDS)},
        {name: value for name in (*SIZES, *PLAIN) if (value := number(name)) is not None},
        {name: found for name in INTERVALS if (found := interval(name)) is not None}, scores,
    )


def retained(rows: Sequence[QualityRow], task: str, weights_id: str, kv_type: str) -> float | None:
    """The share of the unquantised score that these weights keep at least (95 %), on the engine that keeps least."""
    return least(rows, task, lambda row: row.is_of(weights_id, kv_type))


def least(rows: Sequence[QualityRow], task: str, fits: Callable[[QualityRow], bool]) -> float | None:
    """As `retained`, of the rows that fit. Raises UsageError for a task that the table has not."""
    if not any(task in row.tasks for row in rows):
        known = sorted({name for row in rows for name in row.tasks})
        raise UsageError(f"--min-quality: no task {task!r} in the quality table; it has {', '.join(known)}")
    found = [low for row in rows if fits(row) and task in row.tasks
             and (low := row.tasks[task].retained_low) is not None]
    return min(found, default=None)
