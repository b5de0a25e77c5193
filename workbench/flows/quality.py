"""`workbench quality run`: every cell of a suite (engine, model, quantisation, options), item by item, resumable."""

import contextlib
import fcntl
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.files import write_json
from workbench.flows.quality_engine import Ready, asked_at
from workbench.flows.quality_estimate import estimate_s
from workbench.flows.quality_harness import harness, refuse_code
from workbench.flows.quality_spec import SuiteSpec, started_with
from workbench.flows.quality_summary import summary
from workbench.flows.quality_tasks import TaskSet
from workbench.flows.sweeps.fingerprint import options_of
from workbench.flows.sweeps.hosts import Shelf
from workbench.flows.sweeps.points import Setting
from workbench.quality.asking import EngineLost
from workbench.quality.echo_server import EchoServer
from workbench.quality.evaluate import evaluate, missing
from workbench.quality.items import Item
from workbench.quality.sandbox.choose import UNSAFE, Found, choose, examine
from workbench.quality.store import Growing, QualityLog, read
from workbench.runlog.provenance import Provenance, collect

TOTALS = "lm_eval.json"

@dataclass(frozen=True, slots=True)
class Cell:
    """One setting and its folder."""

    setting: Setting
    folder: Path

    @staticmethod
    def of(setting: Setting, out: Path) -> "Cell":
        tp = f"tp{setting.gpus}" if setting.gpus > 1 else ""
        words = (setting.engine, setting.model.rpartition("/")[2], setting.quant, tp)
        stem = "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", word)[:24] for word in words if word)
        return Cell(setting, out / f"{stem}-{setting.key}")

    def kept(self, *, retry_failed: bool) -> QualityLog | None:
        """What an earlier run left, without the failed rows that are to be asked again."""
        if not any((self.folder / name).exists() for name in ("rows.parquet", "rows.part.jsonl")):
            return None
        log = read(self.folder)
        return replace(log, rows=tuple(row for row in log.rows if not retry_failed or row.outcome == "ok"))


@dataclass
class Suite:
    """What is asked, of whom, where the rows go, and what the user allowed."""

    spec: SuiteSpec
    out: Path
    base: Path
    config_text: str = ""
    only: tuple[str, ...] = ()
    limit: int | None = None
    allow_code: bool = False
    unsafe: bool = False
    looks: Callable[[], Sequence[Found]] = examine  # which sandboxes hold here
    hub: bool = False
    retry_failed: bool = False
    shelf: Shelf = field(default_factory=Shelf)
    note: Callable[[str], None] = lambda _line: None
    on_row: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        specs = self.spec.specs(self.base, self.only, self.limit)
        for spec in specs:
            refuse_code(spec, allow_code=self.allow_code)
        self.tasks = TaskSet(specs, lambda template: harness(template, hub=self.hub, unsafe=self.unsafe))
        self.cells = [Cell.of(setting, self.out) for setting in self.spec.settings()]
        self.tokenizer = self.base / self.spec.tokenizer if self.spec.tokenizer else None

    def plan(self) -> list[dict[str, Any]]:
        """Per cell: items, how many are left, and about how long they take."""
        for cell in self.cells:  # a word that one engine does not know is said before the first is asked for hours
            options_of(self.shelf.engine(cell.setting.engine), started_with(cell.setting))
        planned, found = self.tasks.planned(), []
        logs = {cell.folder: cell.kept(retry_failed=self.retry_failed) for cell in self.cells}
        for cell in self.cells:
            log = logs[cell.folder]
            rows = {} if log is None else log.by_key
            left = [item for item, _ in missing(planned, rows)]
            model = self.shelf.model(cell.setting)
            near = [row for one in logs.values() if one is not None and one.provenance.engine == cell.setting.engine
                    and (model is None or one.provenance.model == model.name) for row in one.rows]
            seconds, basis = estimate_s(left, near, model.params if model is not None else 7_000_000_000)
            found.append({"cell": cell.setting.label, "folder": cell.folder.name, "items": _count(planned),
                          "left": len(left), "seconds": round(seconds, 1), "basis": basis,
                          "finished": log is not None and not log.partial and not left})
        return found

    def run(self) -> dict[str, Any]:
        """Every cell that is not finished; one that fails or is wrong is named, and the others go on.

        UsageError where nothing could be asked, because every one of them is wrong.
        """
        with _alone(self.out):
            left = [cell for cell, told in zip(self.cells, self.plan(), strict=True) if not told["finished"]]
            failed: list[dict[str, str]] = []
            wrong: list[UsageError] = []
            for cell in left:
                try:
                    self._run(cell)
                except (Failure, UsageError) as error:
                    wrong += [error] if isinstance(error, UsageError) else []
                    failed.append({"cell": cell.setting.label, "why": str(error)})
                    self.note(f"{cell.setting.label}: {error}")
            if wrong and len(wrong) == len(left):
                raise wrong[0]
            logs = [read(cell.folder) for cell in self.cells if (cell.folder / "rows.parquet").exists()]
            result = {"suite": self.spec.name, "cells": [summary(log) for log in logs], "failed": failed}
            write_json(self.out / "summary.json", result)
            return result

    def _run(self, cell: Cell) -> None:
        self.note(f"{cell.setting.label} ...")
        with asked_at(self.shelf, started_with(cell.setting), cell.folder / "logs", self.tokenizer) as ready:
            items = self.tasks.items(ready.template)
            backend = self._ready(items, ready)
            growing = self._growing(cell, ready, backend)
            try:
                evaluate(items, lambda _item: ready.asker, growing, seed=self.spec.seed, backend=backend,
                         on_row=lambda _row: self.on_row())
            except EngineLost as lost:
                raise Failure(f"{lost}; {len(growing.rows)} of {_count(items)} answers are kept: run it again to go on"
                              ) from None
            finally:
                growing.close()
        rows, totals = self.tasks.judged(ready.template, list(growing.rows.values()))
        growing.finish(rows)
        if totals:
            write_json(cell.folder / TOTALS, totals)

    def _ready(self, items: Sequence[Item], ready: Ready) -> str | None:
        """The sandbox, where code is run; Failure where this engine cannot be asked what the tasks ask."""
        if isinstance(ready.asker, EchoServer) and any(item.form in ("choice", "text") for item in items):
            ready.asker.check()
        if not any(item.form == "code" for item in items):
            return None
        backend = choose(unsafe=self.unsafe, looks=self.looks)
        if self.unsafe:
            self.note(said_of_unsafe(backend))
        return backend

    def _growing(self, cell: Cell, ready: Ready, backend: str | None) -> Growing:
        """The cell's log, gone on with where it is of the same weights, engine and tasks."""
        records, kept = self.tasks.records(ready.template), cell.kept(retry_failed=self.retry_failed)
        given = collect("real", config_text=self.config_text)
        provenance = replace(
            ready.provenance, seeds={"suite": self.spec.seed}, config_text=given.config_text,
            config_sha256=given.config_sha256,
            workload={"role": "quality", "suite": self.spec.name, "words": ready.words, "sandbox": backend,
                      "unsafe": self.unsafe},
        )
        if kept is None:
            return Growing(cell.folder, provenance, records)
        _refuse_other(cell, kept, provenance, records)
        return Growing(cell.folder, kept.provenance, {**kept.tasks, **records}, kept.rows)


def _refuse_other(cell: Cell, kept: QualityLog, now: Provenance, records: dict[str, Any]) -> None:
    """Rows of different weights, engines or tasks never mix."""
    then = kept.provenance
    facts = {"weights_id": (then.weights_id, now.weights_id), "model": (then.model, now.model),
             "engine version": (_version(then), _version(now)), "seed": (then.seeds, now.seeds),
             "sandbox (none, by --unsafe)": (_unsandboxed(then), _unsandboxed(now))}
    facts |= {f"task {name}": (kept.tasks[name].get("sha256"), record["sha256"])
              for name, record in records.items() if name in kept.tasks}
    changed = [name for name, (old, new) in facts.items() if old != new]
    if changed:
        raise UsageError(f"{cell.folder.name}: its rows were made with another {', '.join(changed)}; name another "
                         "folder with --out, or remove this one")


def _version(provenance: Provenance) -> Any:
    fact = provenance.engine_facts.get("version")
    return fact.get("seen") if isinstance(fact, dict) else None


def _unsandboxed(provenance: Provenance) -> bool:
    return provenance.workload.get("sandbox") == UNSAFE


def said_of_unsafe(backend: str) -> str:
    """What --unsafe comes to, for who gave it."""
    if backend != UNSAFE:
        return f"--unsafe is not needed: generated code runs in the sandbox {backend}"
    return ("WARNING: --unsafe, and no sandbox can be had here: programs that the model writes run with your rights. "
            "They can read, change and delete your files, use the network and signal your processes; only time, memory "
            "and output are limited. The rows say so (sandbox: unsafe)")


def _count(items: Sequence[Item]) -> int:
    return sum(item.repeats for item in items)


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One run at a time in a folder."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "quality.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failure(f"{out}: another quality run works there; wait for it, or give another --out") from None
        yield
