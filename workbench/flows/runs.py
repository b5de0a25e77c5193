"""Look at run logs: list, show, diff."""

from pathlib import Path
from typing import Any

from workbench import paths
from workbench.errors import UsageError
from workbench.metrics import METRICS, summarise
from workbench.runlog.part import SUFFIX
from workbench.runlog.table import RunLog, read

SHOWN = ("ttft_s", "tpot_s", "e2e_s")


def find_log(path: Path) -> Path:
    """A run log by its file, or by its folder where that holds one run."""
    if path.is_dir():
        found = list_paths(path)
        if len(found) != 1:
            names = ", ".join(str(item.relative_to(path)) for item in found[:4])
            raise UsageError(f"{path}: holds {len(found)} run logs; name one" + (f" ({names} ...)" if found else ""))
        return found[0]
    return path


def list_paths(folder: Path) -> list[Path]:
    """Every run log below a folder; an unfinished one counts where no finished one stands beside it."""
    finished = sorted(folder.rglob("*.parquet"))
    names = {item.with_suffix("") for item in finished}
    parts = [p for p in folder.rglob("*" + SUFFIX) if p.with_name(p.name.removesuffix(SUFFIX)) not in names]
    return sorted(finished + parts)


def list_runs(folder: Path) -> list[dict[str, Any]]:
    """One line a run: what ran, how many requests, how they ended. Files that are no run logs are named as such."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; `workbench bench` makes runs/")
    return [_line(path) for path in list_paths(folder)]


def _line(path: Path) -> dict[str, Any]:
    from workbench.errors import Failure

    try:
        log = read(path)
    except Failure as error:
        return {"path": paths.shown(path), "error": str(error)}
    provenance = log.provenance
    return {
        "path": paths.shown(path), "world": provenance.world, "started_at_utc": provenance.started_at_utc,
        "engine": provenance.engine, "model": provenance.model, "quant": provenance.quant, "partial": log.partial,
        "requests": len(log), "outcomes": {k: v for k, v in log.outcomes().items() if v},
    }


def show(path: Path) -> dict[str, Any]:
    """Summary and provenance of one run."""
    log = read(find_log(path))
    return {"summary": summarise(log), "provenance": log.provenance.as_dict()}


def diff(first: Path, second: Path) -> dict[str, Any]:
    """What differs between two runs: provenance fields, and each metric with its relative difference.

    No verdict: two single runs carry no interval. `workbench validate` and repeats do.
    """
    a, b = read(find_log(first)), read(find_log(second))
    return {"provenance": _differences(a.provenance.as_dict(), b.provenance.as_dict()), "metrics": _metric_rows(a, b)}


def _differences(a: Any, b: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(a, dict) and isinstance(b, dict):
        found: dict[str, Any] = {}
        for key in sorted(a.keys() | b.keys()):
            found |= _differences(a.get(key), b.get(key), f"{prefix}.{key}" if prefix else str(key))
        return found
    return {} if a == b else {prefix: [a, b]}


def _metric_rows(a: RunLog, b: RunLog) -> list[dict[str, Any]]:
    first, second = summarise(a)["metrics"], summarise(b)["metrics"]
    rows = []
    for name in METRICS:
        for stat in ("mean", "p50", "p95", "p99", "value"):
            x = first[name].get(stat, {}).get(a.world)
            y = second[name].get(stat, {}).get(b.world)
            if x is not None and y is not None:
                change = (y - x) / x if x else None
                rows.append({"metric": name, "stat": stat, "first": x, "second": y, "rel_difference_frac": change})
    return rows
