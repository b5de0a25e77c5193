"""Quality joined with distance and speed: one row a cell, keyed by weights_id and KV type; what does not match is said.

Speed of a grown model counts for the one it grew from: their weights_id is the same where every tensor has the same
type. Mixes such as Q4_K_M depend on the number of layers; then the quantisation's name joins, and the row says so.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from workbench.errors import UsageError
from workbench.flows import quality_distance
from workbench.flows.quality_show import cells
from workbench.flows.quality_speed import Speed, parallel
from workbench.flows.quality_summary import gpus_of
from workbench.quality.rows import Key, Row
from workbench.quality.store import QualityLog
from workbench.quality.table import QualityRow, Score, label_of, mixes
from workbench.stats.accuracy import accuracy
from workbench.stats.intervals import Interval
from workbench.stats.pairs import pairs
from workbench.stats.verdict import Verdict, verdict


@dataclass(frozen=True)
class Cell:
    """One model in one quantisation on one engine with one KV type: what is known of it."""

    model: str
    quant: str
    engine: str
    version: str
    kv_type: str
    weights_id: str
    log: QualityLog | None = None
    distance: quality_distance.Row | None = None
    speed: Speed | None = None
    beware: tuple[str, ...] = ()
    gpus: str = ""  # tensor parallel; empty is one
    twin: quality_distance.Row | None = None  # of the same weights on the same engine: as large
    called: str = ""

    @property
    def label(self) -> str:
        """As the table of all calls it."""
        return self.called or label_of(self.quant, self.engine, self.kv_type, self.gpus)

    def scores(self, task: str) -> dict[Key, Row]:
        """Answered items with a score from 0 to 1, by key."""
        rows = self.log.rows if self.log is not None else ()
        return {row.key: row for row in rows if row.task == task and row.outcome == "ok" and row.score is not None}

    @property
    def size(self) -> quality_distance.Row | None:
        return self.distance or self.twin

    @property
    def tasks(self) -> tuple[str, ...]:
        rows = self.log.rows if self.log is not None else ()
        return tuple(dict.fromkeys(row.task for row in rows if row.score is not None))


def joined(quality: Sequence[Path], distances: Sequence[Path], speeds: Sequence[Speed]) -> list[Cell]:
    """The first cell is the base. Raises UsageError where there is neither quality nor distance."""
    found: dict[tuple[str, ...], Cell] = {}
    for path in distances:
        for row in quality_distance.read(path).rows:
            cell = Cell(row.model, row.quant, row.engine, row.version, row.kv_type, row.weights_id, distance=row,
                        gpus=parallel(row.gpus))
            found.setdefault(_key(cell), cell)
    for path in quality:
        for log in cells(path).values():
            cell = _of_log(log)
            found[_key(cell)] = replace(found.get(_key(cell), cell), log=log)
    if not found:
        raise UsageError("nothing to report: name a folder of `workbench quality run`, or --distance")
    return _told_apart([_with_speed(_with_size(cell, list(found.values())), speeds) for cell in found.values()])


def _told_apart(found: list[Cell]) -> list[Cell]:
    """Of several models each row says its own; two of one name say the engine's version or the weights."""
    if len({cell.model for cell in found}) > 1:
        found = [replace(cell, called=f"{cell.model} {cell.label}") for cell in found]
    tells: tuple[Callable[[Cell], str], ...] = (lambda cell: cell.version, lambda cell: cell.weights_id[:8])
    for more in tells:
        known: dict[str, set[str]] = {}
        for cell in found:
            known.setdefault(cell.label, set()).add(more(cell))
        found = [replace(cell, called=f"{cell.label} {more(cell)}") if len(known[cell.label]) > 1 else cell
                 for cell in found]
    return found


def _key(cell: Cell) -> tuple[str, ...]:
    return _what(cell), cell.kv_type, cell.engine, cell.version, cell.quant, cell.gpus


def _what(one: Cell | Speed) -> str:
    """The weights; of an endpoint, which does not tell them, the model's name."""
    return one.weights_id or f"called {one.model}"


def _of_log(log: QualityLog) -> Cell:
    about = log.provenance
    version = about.engine_facts.get("version") or {}
    return Cell(about.model, about.quant, about.engine, str(version.get("seen") or ""), about.kv_type or "auto",
                about.weights_id, log, gpus=parallel(gpus_of(about)))


def _with_size(cell: Cell, every: Sequence[Cell]) -> Cell:
    key = _what(cell), cell.engine, cell.version
    same = (one.distance for one in every if (_what(one), one.engine, one.version) == key and one.distance)
    return replace(cell, twin=next(same, None))


def _with_speed(cell: Cell, speeds: Sequence[Speed]) -> Cell:
    """Of the same weights and KV type; of a mix else by name, from the model or what it grew to. Same engine first."""
    spread = [one for one in speeds if one.gpus == cell.gpus]
    exact = [one for one in spread if (_what(one), one.kv_type) == (_what(cell), cell.kv_type)]
    named = [one for one in spread if (one.quant, one.kv_type) == (cell.quant, cell.kv_type) and mixes(cell.quant)
             and re.fullmatch(rf"{re.escape(cell.model)}(-\d+m)?", one.model)]
    near = exact or named
    if not near:
        return cell
    speed = min(near, key=lambda one: (one.engine != cell.engine, one.version != cell.version))
    if speed.engine != cell.engine:
        return cell  # another engine's speed says nothing of this one's
    beware = [] if exact else [f"speed is of {speed.model}, whose {speed.quant} mixes other types of tensors"]
    if speed.version != cell.version:
        beware.append(f"speed is of {speed.engine} {speed.version or 'of unknown version'}, quality of {cell.version}")
    return replace(cell, speed=speed, beware=tuple(beware))


def compare(base: Cell, cell: Cell, task: str, family: int) -> Verdict | None:
    """On the items that both answered; None where there is none."""
    one, other = base.scores(task), cell.scores(task)
    keys = [key for key in one if key in other]
    if not keys:
        return None
    scores = tuple(np.array([rows[key].score for key in keys], dtype=np.float64) for rows in (one, other))
    clusters = [one[key].subject or one[key].item for key in keys]
    return verdict(base.label, cell.label, (scores[0], scores[1]), clusters, family=family)


def row_of(base: Cell, cell: Cell, usd_per_hour: float | None) -> QualityRow:
    """As the table keeps it."""
    words = {"model": cell.model, "quant": cell.quant, "engine": cell.engine, "version": cell.version,
             "kv_type": cell.kv_type, "weights_id": cell.weights_id, "gpus": cell.gpus,
             "beware": "; ".join(cell.beware)}
    values: dict[str, float] = {}
    figures: dict[str, Interval] = {}
    if cell.size is not None:
        values |= {"bits_per_weight": cell.size.bits_per_weight, "bytes": float(cell.size.bytes)}
    if cell.distance is not None:
        far = cell.distance.distance
        words["kl_kind"] = far.kl_kind
        values |= {name: value for name in ("kl_median", "kl_p999") if (value := getattr(far, name)) is not None}
        figures |= {"perplexity": far.perplexity, "kl_mean": far.kl_mean, "top_1": far.top_1}
    if cell.speed is not None:
        words["speed_of"] = f"{cell.speed.model}, {cell.speed.load}"
        figures["tok_per_s"] = cell.speed.tok_per_s
        values |= {"speed_memory_bytes": cell.speed.memory_bytes} if cell.speed.memory_bytes is not None else {}
        values |= {"usd_per_million_tok": cell.speed.usd_per_million_tok(usd_per_hour)} if usd_per_hour else {}
    tasks = {task: score for task in cell.tasks if (score := _score(base, cell, task)) is not None}
    changed = _flips(base, cell)
    values |= {"flips": float(changed[0]), "flips_n": float(changed[1])} if changed[1] else {}
    return QualityRow(words, values, figures, tasks, cell.called)


def _score(base: Cell, cell: Cell, task: str) -> Score | None:
    mine, theirs = cell.scores(task), base.scores(task)
    keys = [key for key in mine if key in theirs]
    values = np.array([row.score for row in mine.values()], dtype=np.float64)
    if values.min() < 0 or values.max() > 1:
        return None
    clusters = [row.subject or row.item for row in mine.values()]
    share = accuracy(values, clusters if len(set(clusters)) < len(clusters) else None)
    if not keys:
        return Score(share, None, None)
    before, after = (np.array([rows[key].score for key in keys], dtype=np.float64) for rows in (theirs, mine))
    if before.mean() == 0:
        return Score(share, None, None)
    gap = pairs(before, after, [theirs[key].subject or theirs[key].item for key in keys]).difference
    return Score(share, 1 + gap.mean / float(before.mean()), 1 + gap.low / float(before.mean()))


def _flips(base: Cell, cell: Cell) -> tuple[int, int]:
    """(answers whose score changed, either way, of how many), over all tasks."""
    changed = n = 0
    for task in cell.tasks:
        one, other = base.scores(task), cell.scores(task)
        keys = one.keys() & other.keys()
        n += len(keys)
        changed += sum(one[key].score != other[key].score for key in keys)
    return changed, n


def all_tasks(found: Iterable[Cell]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(task for cell in found for task in cell.tasks))

