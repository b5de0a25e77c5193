"""What will come, from what came: forecasters in a rolling backtest, the better one's season ahead, and its error."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.control.capacity.predictive import SeasonalNaive
from workbench.control.capacity.protocol import Forecaster
from workbench.economics.capacity_spec import ForecastSpec
from workbench.errors import UsageError
from workbench.hardware.table import lines
from workbench.paths import inside
from workbench.runlog.part import SUFFIX
from workbench.runlog.table import RunLog, read

SLOT_NS = 1_000_000_000  # forecasters count slots; how long one is does not matter to them
RUN_LOGS = (".parquet", SUFFIX)
SCALE = 1_000_000  # they hold integers: counts with six decimals


def read_series(spec: ForecastSpec, base: Path) -> list[float]:
    """Requests in each slot, of a list or of a run log; at least three seasons, none below 0."""
    path = inside(base, spec.file)
    if path.name.endswith(RUN_LOGS):
        found = arrivals(read(path), spec.slot_s, path.name)
    else:
        found = _numbers(path, spec.column)
    if len(found) < 3 * spec.season_slots:
        raise UsageError(f"{path.name}: {len(found)} slots; a backtest needs three seasons, {3 * spec.season_slots}")
    return found


def arrivals(log: RunLog, slot_s: float, name: str) -> list[float]:
    """Requests that were to be sent in each slot of a run, whatever became of them; the last slot is not over."""
    at_s = log.floats("intended_ns") * 1e-9
    if np.isnan(at_s).any():
        raise UsageError(f"{name}: a closed loop asks as fast as it is answered: there is no load to foresee")
    slots = np.floor_divide(at_s, slot_s).astype(int)
    return list(map(float, np.bincount(slots, minlength=1)[:-1]))


def _numbers(path: Path, column: str | None) -> list[float]:
    if column is not None:
        texts = [line.text(column) for line in lines(path)]
    else:
        try:
            texts = path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path.name}: cannot be read as text: {error}") from error
    found = []
    for number, text in enumerate(texts, start=1):
        try:
            value = float(text)
        except ValueError:
            raise UsageError(f"{path.name}: value {number}: {text!r} is no number of requests") from None
        if not 0 <= value < 1e12:
            raise UsageError(f"{path.name}: value {number}: {text}: requests of a slot are 0 or more, and finite")
        found.append(value)
    return found


def forecasters(spec: ForecastSpec) -> dict[str, Forecaster]:
    """Holt-Winters only where statsmodels is installed."""
    season_ns = spec.season_slots * SLOT_NS
    found: dict[str, Forecaster] = {"seasonal naive": SeasonalNaive(season_ns, SLOT_NS)}
    if importlib.util.find_spec("statsmodels") is not None:
        from workbench.adapters.forecast_holt_winters import HoltWinters

        found["Holt-Winters"] = HoltWinters(season_ns, SLOT_NS)
    return found


def backtest(forecaster: Forecaster, series: Sequence[float], season_slots: int, ahead: int) -> list[float]:
    """actual - forecast, `ahead` slots on, each made with nothing but what had come; from the third season on."""
    errors = []
    for slot, value in enumerate(series):
        forecaster.observe(slot * SLOT_NS, round(value * SCALE))
        if slot + 1 >= 2 * season_slots and slot + ahead < len(series):
            guess = forecaster.forecast(slot * SLOT_NS, ahead * SLOT_NS)
            if guess is not None:
                errors.append(series[slot + ahead] - guess / SCALE)
    return errors


def forecast(spec: ForecastSpec, base: Path) -> dict[str, Any]:
    """Both forecasters' errors a season ahead, and the season to come by the one that errs less."""
    series, ahead = read_series(spec, base), spec.season_slots
    rows: list[dict[str, Any]] = []
    made: dict[str, list[float | None]] = {}
    for name, forecaster in forecasters(spec).items():
        errors = np.array(backtest(forecaster, series, spec.season_slots, ahead))
        if not len(errors):
            continue
        last_ns = (len(series) - 1) * SLOT_NS
        guesses = [forecaster.forecast(last_ns, n * SLOT_NS) for n in range(1, ahead + 1)]
        made[name] = [None if guess is None else guess / SCALE for guess in guesses]
        mean = float(np.mean(series))
        rows.append({
            "name": name, "n": len(errors), "mean_abs": float(np.abs(errors).mean()),
            "mean_abs_frac": float(np.abs(errors).mean() / mean) if mean else None, "bias": float(errors.mean()),
            "p95_under": max(0.0, float(np.quantile(errors, 0.95))),  # 19 of 20 slots exceeded the forecast by less
        })
    if not rows:
        raise UsageError(f"{spec.file}: {len(series)} slots are too few to try a forecast on; give more seasons")
    best = min(rows, key=lambda row: row["mean_abs"])
    peak = max(value for value in made[best["name"]] if value is not None)
    return {"slots": len(series), "season_slots": spec.season_slots, "ahead_slots": ahead, "backtest": rows,
            "best": best["name"], "season_ahead": made[best["name"]], "peak_rps": peak / spec.slot_s,
            "peak_with_error_rps": (peak + best["p95_under"]) / spec.slot_s}
