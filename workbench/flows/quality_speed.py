"""Speed rows for the quality table: from a sweep's points or from run logs, repeats of one load together."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import UsageError
from workbench.flows.quality_summary import gpus_of
from workbench.flows.sweeps.guards import disturbed
from workbench.flows.sweeps.store import read_rows
from workbench.metrics import summarise
from workbench.runlog.table import read as read_log
from workbench.stats.estimate import independent
from workbench.stats.intervals import Interval, t_interval

METRIC = "output_tok_per_s"


@dataclass(frozen=True, slots=True)
class Run:
    """One repeat. `beside_frac`: of all cores, what other programs kept busy meanwhile, where that was much."""

    tok_per_s: float
    memory_bytes: float | None = None
    beside_frac: float | None = None


@dataclass(frozen=True, slots=True)
class Speed:
    """`runs` are output tokens per second of each repeat, at `load` (requests in flight, or per second)."""

    engine: str
    version: str
    model: str
    quant: str
    kv_type: str
    weights_id: str
    load: str
    runs: tuple[float, ...]
    gpus: str = ""  # tensor parallel; empty is one
    memory_bytes: float | None = None  # the engine's resident memory, where it was watched
    beside_frac: tuple[float, ...] = ()  # of the runs beside which other programs ran, what those kept busy

    @property
    def tok_per_s(self) -> Interval:
        """Over repeats; one alone has no interval."""
        if len(self.runs) == 1:
            return Interval(self.runs[0], self.runs[0], self.runs[0], 1)
        return t_interval(np.array(self.runs))

    def times(self, base: "Speed") -> Interval | None:
        """How many times faster than `base`: Welch on the logarithms. None without repeats of both."""
        if min(len(self.runs), len(base.runs)) < 2:
            return None
        found = independent(np.log(base.runs), np.log(self.runs)).interval()
        return Interval(math.exp(found.mean), math.exp(found.low), math.exp(found.high), found.n)

    def usd_per_million_tok(self, usd_per_hour: float) -> float:
        """Of output tokens, the whole bill on them."""
        return usd_per_hour / 3600 / self.tok_per_s.mean * 1e6


def speeds(paths: Sequence[Path]) -> list[Speed]:
    """Of sweep folders and run logs (.parquet), repeats together, in order of load."""
    found: dict[tuple[str, ...], list[Run]] = {}
    for path in paths:
        for key, run in _of_sweep(path) if path.is_dir() else _of_log(path):
            found.setdefault(key, []).append(run)
    rows = []
    for key, runs in found.items():
        engine, version, model, quant, kv_type, weights_id, load, gpus = key
        sizes = [run.memory_bytes for run in runs if run.memory_bytes is not None]
        beside = tuple(run.beside_frac for run in runs if run.beside_frac is not None)
        rows.append(Speed(engine, version, model, quant, kv_type, weights_id, load,
                          tuple(run.tok_per_s for run in runs), gpus, max(sizes, default=None), beside))
    return sorted(rows, key=lambda row: (float(row.load.split()[0].rstrip("/s")), row.quant, row.engine))


Measured = tuple[tuple[str, ...], Run]


def _of_sweep(folder: Path) -> Iterable[Measured]:
    rows = read_rows(folder)
    for row in rows:
        value = (row.get("metrics") or {}).get(METRIC)
        if row["status"] != "ok" or value is None:
            continue
        mark, asked = row["fingerprint"], row["asked"]
        rate = asked["rate_per_s"]
        load = f"{rate:g}/s" if rate is not None else f"{asked['concurrency']:g} in flight"
        key = (mark["engine"], mark["engine_version"] or "", mark["model"], mark["quant"], _kv(row.get("kv_type")),
               mark["weights_id"] or "", load, parallel(mark["gpus"]))
        beside = row["guards"]["others_frac"] if disturbed(row) else None
        yield key, Run(float(value), (row.get("telemetry") or {}).get("engine_rss_max_bytes"), beside)


def _of_log(path: Path) -> Iterable[Measured]:
    if not path.exists():
        raise UsageError(f"{path}: no such run log or sweep folder")
    log = read_log(path)
    about = log.provenance
    value = summarise(log, None)["metrics"].get(METRIC, {}).get("value", {}).get("measured")
    if value is None:
        raise UsageError(f"{path.name}: has no measured {METRIC}: a simulated or empty run")
    version = about.engine_facts.get("version") or {}
    concurrency: Any = about.workload.get("concurrency")
    load = f"{concurrency:g} in flight" if concurrency else "0/s"
    yield (about.engine, str(version.get("seen") or ""), about.model, about.quant, _kv(about.kv_type),
           about.weights_id, load, parallel(gpus_of(about))), Run(float(value))


def parallel(gpus: int | None) -> str:
    """How many share each layer, as the table has it: nothing for one or none."""
    return str(gpus) if gpus is not None and gpus > 1 else ""


def _kv(kv_type: str | None) -> str:
    """What an engine does not say is its own choice, `auto`."""
    return kv_type or "auto"
