"""Reading a suite's folder: cells by name, the items that changed between two of them, whether engines agree."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import UsageError
from workbench.flows.quality_summary import gpus_of, summary
from workbench.quality.rows import Row
from workbench.quality.store import PART, ROWS, QualityLog, read
from workbench.quality.task_spec import suggestion
from workbench.stats.verdict import verdict

_NOT = {True: False, False: True, None: None}
NEAR_TIE_NATS = 0.05  # below it another order of the same sums may turn an answer


def cells(out: Path) -> dict[str, QualityLog]:
    """Every log below a suite's folder, by its folder's name; or the one that lies there."""
    if (out / ROWS).exists() or (out / PART).exists():
        return {out.name: read(out)}
    found = {path.parent.name: read(path.parent) for name in (ROWS, PART) for path in sorted(out.glob(f"*/{name}"))}
    if not found:
        raise UsageError(f"{out}: no quality rows there; `workbench quality run SUITE.toml` makes some")
    return dict(sorted(found.items()))


def one_of(logs: dict[str, QualityLog], name: str) -> QualityLog:
    """By its folder's name, or by what no other has: engine, quantisation, KV type, tp2, several ("vllm-cpu tp2")."""
    if name in logs:
        return logs[name]
    wanted = name.lower().split()
    for also in ((), ("kv_type",)):  # F16 is a quantisation first, and a KV type of nearly every cell
        found = [folder for folder, log in logs.items()
                 if all(word in folder.lower().split("-") or word in _words(log, also) for word in wanted)]
        if len(found) == 1:
            return logs[found[0]]
    if found:
        raise UsageError(f"{name!r}: may be {' or '.join(found)}; name one of them")
    raise UsageError(f"no cell {name!r}; {suggestion(name, logs)}")


def _words(log: QualityLog, also: tuple[str, ...]) -> set[str]:
    said = {word.lower() for key in ("engine", "quant", "model", *also) if (word := getattr(log.provenance, key))}
    return said | {f"tp{gpus_of(log.provenance) or 1}"}


def show(out: Path, only: str | None = None) -> dict[str, Any]:
    """Every cell's scores, of all tasks or of one."""
    found = [{"cell": name, **summary(log)} for name, log in cells(out).items()]
    _refuse_unknown(only, {task for cell in found for task in cell["tasks"]})
    return {"cells": [{**cell, "tasks": {name: told for name, told in cell["tasks"].items() if only in (None, name)}}
                      for cell in found]}


def _refuse_unknown(task: str | None, known: Collection[str]) -> None:
    if task is not None and task not in known:
        raise UsageError(f"no task {task!r} there; {suggestion(task, sorted(known))}")


def flips(out: Path, first: str, second: str, only: str | None = None) -> dict[str, Any]:
    """By task: how the two compare on the same items, and the items that changed, either way."""
    logs = cells(out)
    a, b = one_of(logs, first), one_of(logs, second)
    shared, tasks = _shared(a, b), {}
    _refuse_unknown(only, shared)
    for task, both in shared.items():
        if only not in (None, task):
            continue
        scored = [(x, y) for x, y in both if x.score is not None and y.score is not None]
        changed = [_change(x, y) for x, y in scored if x.score != y.score]
        found: dict[str, Any] = {"n": len(scored), "changed": changed,
                                 "failed": sum(not x.outcome == y.outcome == "ok" for x, y in both),
                                 "other_answer": sum(x.answer != y.answer for x, y in scored)}
        if scored:
            before, after = np.array([(x.score, y.score) for x, y in scored], dtype=np.float64).T
            said = verdict(first, second, (before, after), [x.subject or x.item for x, _ in scored])
            found |= {"words": f"{second}: {said.words}", "p": said.found.p,
                      "only_first": said.found.only_first, "only_second": said.found.only_second}
        tasks[task] = found
    return {"first": first, "second": second, "tasks": tasks}


def _change(x: Row, y: Row) -> dict[str, Any]:
    return {"task": x.task, "item": x.item, "repeat": x.repeat, "expected": x.expected,
            "first": _said(x), "second": _said(y), "first_right": x.correct, "second_right": y.correct,
            "first_margin_nats": x.margin_nats, "second_margin_nats": y.margin_nats}


def _said(row: Row) -> str | None:
    """The answer; of code its verdict."""
    return row.verdict or row.answer


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two engines on one task. `decisive` items have an option ahead by more than the near tie in one of the two."""

    task: str
    n: int
    equal: int
    decisive: int
    decisive_equal: int
    largest_nats: float | None  # difference of the same option's log-likelihood
    disagreements: tuple[dict[str, Any], ...]

    @property
    def holds(self) -> bool:
        return self.decisive_equal == self.decisive


def crosscheck(out: Path, first: str, second: str, near_tie_nats: float = NEAR_TIE_NATS) -> dict[str, Any]:
    """Whether the same weights answer alike on two engines, item by item."""
    logs = cells(out)
    a, b = one_of(logs, first), one_of(logs, second)
    found = [_agreement(task, [(x, y) for x, y in both if x.outcome == y.outcome == "ok"], near_tie_nats)
             for task, both in _shared(a, b).items()]
    return {"first": first, "second": second, "near_tie_nats": near_tie_nats,
            "same_weights": a.provenance.weights_id == b.provenance.weights_id,
            "tasks": [asdict(one) | {"holds": one.holds} for one in found], "holds": all(one.holds for one in found)}


def _agreement(task: str, both: list[tuple[Row, Row]], near_tie_nats: float) -> Agreement:
    def decisive(pair: tuple[Row, Row]) -> bool | None:
        """None of a text that was written: how near another one was, nobody knows."""
        margins = [row.margin_nats for row in pair if row.margin_nats is not None]
        return max(margins) > near_tie_nats if margins else None

    def same(pair: tuple[Row, Row]) -> bool:
        x, y = pair
        return x.output == y.output if x.output is not None else x.answer == y.answer

    apart = [abs(p - q) for x, y in both if x.loglik and y.loglik for p, q in zip(x.loglik, y.loglik, strict=False)]
    sure = [pair for pair in both if decisive(pair)]
    return Agreement(
        task, len(both), sum(map(same, both)), len(sure), sum(map(same, sure)), max(apart, default=None),
        tuple(_change(*pair) | {"near_tie": _NOT[decisive(pair)]} for pair in both if not same(pair)),
    )


def _shared(a: QualityLog, b: QualityLog) -> dict[str, list[tuple[Row, Row]]]:
    """Rows of both by task, in the first's order. Tasks that were not the same are refused."""
    for name in a.tasks.keys() & b.tasks.keys():
        if a.tasks[name].get("sha256") != b.tasks[name].get("sha256"):
            raise UsageError(f"task {name}: is not the same task in both; run them in one suite")
    found: dict[str, list[tuple[Row, Row]]] = {}
    for row in a.rows:
        other = b.by_key.get(row.key)
        if other is not None:
            found.setdefault(row.task, []).append((row, other))
    if not found:
        raise UsageError("the two have no item in common")
    return found


def items(out: Path, cell: str, task: str | None, *, failed: bool) -> Iterable[Row]:
    """One cell's rows, all or those of a task, all or the failed ones."""
    logs = cells(out)
    log = one_of(logs, cell) if cell else next(iter(logs.values()))
    _refuse_unknown(task, {row.task for row in log.rows})
    return [row for row in log.rows if (task is None or row.task == task) and (not failed or row.outcome == "failed")]
