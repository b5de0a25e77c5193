"""The good points of a sweep, repeats together, and short names by which a chart or table tells settings apart."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.flows.sweeps.store import Row
from workbench.stats.intervals import Interval, t_interval

BITS = {"bfloat16": "bf16", "float16": "f16", "float32": "f32"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting under one workload and load: its good runs."""

    key: str
    label: str
    workload: str
    load: float
    open_loop: bool
    rows: tuple[Row, ...]

    @property
    def setting(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.rows[0]["asked"]["setting"]
        return found

    def interval(self, metric: str) -> Interval | None:
        """Over repeats; of a single run the value alone. None where any run cannot know it."""
        found = [metric_of(row, metric) for row in self.rows]
        known = [value for value in found if value is not None]
        if len(known) < len(found) or not known:
            return None
        if len(known) == 1:
            return Interval(known[0], known[0], known[0], 1)
        return t_interval(np.array(known, dtype=np.float64))

    def mean(self, metric: str) -> float | None:
        found = self.interval(metric)
        return None if found is None else found.mean


def metric_of(row: Row, name: str) -> float | None:
    """A metric, a figure of the row itself (cost, energy), or of its telemetry (`gpu_bytes`: of all its GPUs;
    `engine_bytes`: shared pages once where that is told)."""
    telemetry = row.get("telemetry") or {}
    if name == "gpu_bytes":
        known = [gpu["memory_used_max_bytes"] for gpu in telemetry.get("gpus") or ()]
        return float(sum(known)) if known and None not in known else None
    if name == "engine_bytes":
        sizes = [telemetry.get(f"engine_{kind}_max_bytes") for kind in ("pss", "rss")]
        return next((float(size) for size in sizes if size), None)
    for table in (row.get("metrics") or {}, row, telemetry):
        if table.get(name) is not None:
            return float(table[name])
    return None


def cells(rows: Iterable[Row]) -> list[Cell]:
    """Good rows, repeats together, in order of workload, engine, setting and load."""
    found: dict[tuple[str, str, str, bool, float], list[Row]] = {}
    for row in rows:
        if row["status"] == "ok":
            asked = row["asked"]
            open_loop = asked["rate_per_s"] is not None
            load = float(asked["rate_per_s"] if open_loop else asked["concurrency"])
            case = (asked["workload"], row["label"], row["setting_key"], open_loop, load)
            found.setdefault(case, []).append(row)
    return [Cell(key, label, workload, load, open_loop, tuple(group))
            for (workload, label, key, open_loop, load), group in sorted(found.items())]


def by_setting(found: Iterable[Cell]) -> dict[str, list[Cell]]:
    by: dict[str, list[Cell]] = {}
    for cell in found:
        by.setdefault(cell.key, []).append(cell)
    return by


def names(found: Sequence[Cell]) -> dict[str, str]:
    """By setting key: the engine, and what is not the same for all of them (options: for all of its engine).

    The whole label where that would not tell two apart.
    """
    settings = {key: group[0].setting for key, group in by_setting(found).items()}
    models = {setting["model"] for setting in settings.values()}
    short = {}
    for key, setting in settings.items():
        others = [other["options"] for other in settings.values() if other["engine"] == setting["engine"]]
        told = [f"{name}={value}" if name != "dtype" else BITS.get(str(value), str(value))
                for name, value in sorted(setting["options"].items())
                if name == "dtype" or any(other.get(name) != value for other in others)]
        model = setting["model"].rpartition("/")[2] if len(models) > 1 else ""
        gpus = f"{setting['gpus']}gpu" if setting["gpus"] else ""
        short[key] = " ".join(part for part in (setting["engine"], model, setting["quant"], gpus, *told) if part)
    whole = {key: group[0].label for key, group in by_setting(found).items()}
    twice = [name for name in short.values() if list(short.values()).count(name) > 1]
    return {key: whole[key] if name in twice else name for key, name in short.items()}


def one_model(found: Sequence[Cell]) -> str:
    """Its name where all cells have the same, else empty."""
    models = {cell.setting["model"].rpartition("/")[2] for cell in found}
    return next(iter(models)) if len(models) == 1 else ""
