"""How well a fit explains what it was fitted on, and how steady the machine was meanwhile."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from workbench.config import Settings
from workbench.profile.ranges import Ranges
from workbench.profile.samples import REGIONS, Region, Sample

Floats = NDArray[np.float64]
BLOCKS = 6  # time blocks per run in the drift report
MAX_RUNS = 24  # runs listed one by one: the file stays under 20 KB
DIGITS = 5


class Residuals(Settings):
    """Measured / predicted - 1 over n iterations; `total_frac` compares the sums (what a queue feels)."""

    n: int
    mean_frac: float
    sd_frac: float
    p95_abs_frac: float
    total_frac: float


class Candidate(Settings):
    """One model that was tried, judged on time blocks that it was not fitted on."""

    name: str
    heldout_error_frac: float
    se_frac: float
    heldout_bias_frac: float
    chosen: bool


class RunDrift(Settings):
    """One run's speed: measured / predicted in all (above 1: slower than the profile) and per time block."""

    run: str
    origin: Literal["grid", "live"]
    n: int
    ratio: float
    blocks: tuple[float, ...]


class Drift(Settings):
    """The machine's speed over the calibration. Ratios are measured / predicted time."""

    runs: tuple[RunDrift, ...]
    runs_n: int
    block_ratio_min: float
    block_ratio_max: float
    between_runs_sd_frac: float | None
    trend_frac_per_min: float | None  # pooled within runs; positive: getting slower
    grid_over_live: dict[Region, float]  # ratio of the two origins, in the regions that both reached


class FitReport(Settings):
    n: int
    left_out: dict[str, int]
    candidates: tuple[Candidate, ...]
    reason: str
    residuals: dict[Region, Residuals]
    origins: dict[str, Residuals]
    outside: dict[str, int]
    drift: Drift
    level_factor: float = 1.0  # what the robust fit was multiplied by so that live time adds up; 1: left as it was
    speed_factors: dict[str, float]  # per run, where fitting one helped; 1 is the speed the profile speaks of
    coefficient_se_fs: dict[str, int]  # delete-one-block jackknife over the same time blocks


class GridReport(Settings):
    """How near a table comes to the source that it was read from, on points that are none of its knots."""

    points: int
    residuals: dict[str, Residuals]  # source / profile - 1, by what the iteration holds
    time_by_fidelity: dict[str, float]  # fraction of decode time by how the source knows it


def residuals(measured: Floats, predicted: Floats) -> Residuals:
    relative = measured / predicted - 1.0
    return Residuals(
        n=len(relative), mean_frac=_short(relative.mean()),
        sd_frac=_short(relative.std(ddof=1)) if len(relative) > 1 else 0.0,
        p95_abs_frac=_short(np.quantile(np.abs(relative), 0.95)),
        total_frac=_short(measured.sum() / predicted.sum() - 1.0),
    )


def by_region(samples: Sequence[Sample], measured: Floats, predicted: Floats) -> dict[Region, Residuals]:
    regions = np.asarray([item.region for item in samples])
    return {
        name: residuals(measured[regions == name], predicted[regions == name])
        for name in REGIONS if (regions == name).any()
    }


def by_origin(samples: Sequence[Sample], measured: Floats, predicted: Floats) -> dict[str, Residuals]:
    origins = np.asarray([item.origin for item in samples])
    return {
        name: residuals(measured[origins == name], predicted[origins == name])
        for name in ("grid", "live") if (origins == name).any()
    }


def outside(samples: Sequence[Sample]) -> dict[str, int]:
    """How many iterations of one origin lie outside what the other origin reached."""
    split = {name: [item.batch for item in samples if item.origin == name] for name in ("grid", "live")}
    if not (split["grid"] and split["live"]):
        return {}
    reach = {name: Ranges.of(batches) for name, batches in split.items()}
    return {
        "live_outside_grid": sum(reach["grid"].outside(batch) is not None for batch in split["live"]),
        "grid_outside_live": sum(reach["live"].outside(batch) is not None for batch in split["grid"]),
    }


def drift(samples: Sequence[Sample], measured: Floats, predicted: Floats) -> Drift:
    runs = np.asarray([item.run for item in samples])
    at_min = np.asarray([item.at_ns for item in samples], dtype=np.float64) / 60e9
    found, slopes = [], []
    for name in dict.fromkeys(runs.tolist()):
        rows = np.flatnonzero(runs == name)
        rows = rows[np.argsort(at_min[rows], kind="stable")]
        blocks = [part for part in np.array_split(rows, BLOCKS) if len(part)]
        ratios = np.asarray([measured[part].sum() / predicted[part].sum() for part in blocks])
        ratio = float(measured[rows].sum() / predicted[rows].sum())
        found.append(RunDrift(
            run=str(name)[:60], origin=samples[rows[0]].origin, n=len(rows), ratio=_short(ratio),
            blocks=tuple(map(_short, ratios)),
        ))
        slopes.append(_slope(np.asarray([at_min[part].mean() for part in blocks]), ratios / ratio))
    spans = [item for item in slopes if item is not None]
    ratios_all = [value for item in found for value in item.blocks]
    total = np.asarray([item.ratio for item in found])
    return Drift(
        runs=tuple(found[:MAX_RUNS]), runs_n=len(found),
        block_ratio_min=min(ratios_all), block_ratio_max=max(ratios_all),
        between_runs_sd_frac=_short(total.std(ddof=1)) if len(total) > 1 else None,
        trend_frac_per_min=_pooled(spans), grid_over_live=_origins(samples, measured, predicted),
    )


def _slope(at_min: Floats, ratio: Floats) -> tuple[float, float] | None:
    """(sum of products, sum of squares) of one run's regression on time, so that runs pool by their span."""
    if len(at_min) < 3 or np.ptp(at_min) == 0:
        return None
    centred = at_min - at_min.mean()
    return float(centred @ ratio), float(centred @ centred)


def _pooled(parts: Sequence[tuple[float, float]]) -> float | None:
    return _short(sum(top for top, _ in parts) / sum(under for _, under in parts)) if parts else None


def _origins(samples: Sequence[Sample], measured: Floats, predicted: Floats) -> dict[Region, float]:
    kinds = np.asarray([(item.origin, item.region) for item in samples])
    found: dict[Region, float] = {}
    for region in REGIONS:
        ratio: Mapping[str, float] = {
            origin: measured[rows].sum() / predicted[rows].sum()
            for origin in ("grid", "live")
            if (rows := (kinds[:, 0] == origin) & (kinds[:, 1] == region)).any()
        }
        if len(ratio) == 2:
            found[region] = _short(ratio["grid"] / ratio["live"])
    return found


def _short(value: float | np.floating) -> float:
    """Five decimals are far below the noise, and keep the file small."""
    return round(float(value), DIGITS)
