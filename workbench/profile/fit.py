"""From observed iterations to a profile: candidates judged on held-out time blocks, the simplest good one kept."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import Failure
from workbench.profile import report
from workbench.profile.candidates import KINDS, NAMES, Fitted, Kind, feature_matrix, fit_kind
from workbench.profile.decode_run import FS_PER_NS
from workbench.profile.profile import Overhead, Profile, Subject
from workbench.profile.ranges import Ranges
from workbench.profile.samples import Sample

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FOLDS = 5
BLOCKS_PER_RUN = 5
SPEED_ROUNDS = 4
MIN_SAMPLES = 20
MIN_LIVE = 100  # fewer live iterations than this judge nothing: then all do
TIE_FRAC = 0.002  # held-out errors closer than this are the same: no machine repeats itself that well


@dataclass(frozen=True)
class Data:
    """Samples as arrays; `run` and `fold` are small integers."""

    features: Floats
    measured: Floats
    run: Ints
    fold: Ints
    live: NDArray[np.bool_]

    def pick(self, mask: NDArray[np.bool_]) -> "Data":
        return Data(self.features[mask], self.measured[mask], self.run[mask], self.fold[mask], self.live[mask])


@dataclass(frozen=True)
class Choice:
    """One way to fit: a kind of model, with or without a speed factor per run."""

    kind: Kind
    speed: bool

    @property
    def name(self) -> str:
        return self.kind.name + (", speed per run" if self.speed else "")


def fit(
    samples: Sequence[Sample], *, rules: Mapping[str, Any] | None = None, overheads: Sequence[Overhead] = (),
    subject: Subject | None = None, kv_blocks: int | None = None, block_tok: int = 16,
    provenance: Mapping[str, Any] | None = None, left_out: Mapping[str, int] | None = None,
) -> Profile:
    """Fit a `measured` profile. `left_out` counts what the caller could not explain or use, by reason."""
    usable = [item for item in samples if item.ns > 0]
    dropped = {**(left_out or {}), "time of 0 or less": len(samples) - len(usable)}
    if len(usable) < MIN_SAMPLES:
        raise Failure(f"{len(usable)} usable iterations; a profile needs {MIN_SAMPLES}; measure longer")
    data = _data(usable)
    choices = _choices(data)
    judged = [_heldout(data, choice) for choice in choices]
    best, reason = choose([error for error, _, _ in judged], [choice.name for choice in choices])
    chosen = choices[best]
    fitted, speeds = _fit(data, chosen)
    level = _level(data, fitted) if _level_helps(data, judged[best][2]) else 1.0
    model = fitted.scaled(level).model()
    predicted = np.asarray([max(1.0, model.time_fs(item.batch) / FS_PER_NS) for item in usable])
    names = list(dict.fromkeys(item.run for item in usable))
    found = report.FitReport(
        n=len(usable), left_out={name: n for name, n in dropped.items() if n},
        candidates=tuple(
            report.Candidate(
                name=choice.name, heldout_error_frac=round(float(error.mean()), 5), se_frac=round(_se(error), 5),
                heldout_bias_frac=round(bias, 5), chosen=i == best,
            )
            for i, (choice, (error, bias, _)) in enumerate(zip(choices, judged, strict=True))
        ),
        reason=reason,
        residuals=report.by_region(usable, data.measured, predicted),
        origins=report.by_origin(usable, data.measured, predicted),
        outside=report.outside(usable),
        drift=report.drift(usable, data.measured, predicted),
        level_factor=round(level, 5),
        speed_factors={
            name[:60]: round(float(speed), 5) for name, speed in zip(names[: report.MAX_RUNS], speeds, strict=False)
        } if chosen.speed else {},
        coefficient_se_fs=_jackknife(list(judged[best][2].values())),
    )
    return Profile(
        source="measured", subject=subject or Subject(), model=model, ranges=Ranges.of(item.batch for item in usable),
        kv_blocks=kv_blocks, block_tok=block_tok, overheads=tuple(overheads), rules=dict(rules or {}),
        provenance=dict(provenance or {}), fit_report=found,
    )


def _data(samples: Sequence[Sample]) -> Data:
    names = {name: i for i, name in enumerate(dict.fromkeys(item.run for item in samples))}
    run = np.asarray([names[item.run] for item in samples], dtype=np.int64)
    at = np.asarray([item.at_ns for item in samples], dtype=np.int64)
    return Data(
        feature_matrix([item.batch for item in samples]), np.asarray([item.ns for item in samples], dtype=np.float64),
        run, time_folds(run, at), np.asarray([item.origin == "live" for item in samples]),
    )


def time_folds(run: Ints, at_ns: Ints) -> Ints:
    """Folds of whole time blocks: neighbours in time share their noise, so random rows would flatter every model.

    The blocks of each run go round the folds, each run starting at another one.
    """
    fold = np.zeros(len(run), dtype=np.int64)
    for k in np.unique(run):
        rows = np.flatnonzero(run == k)
        rows = rows[np.argsort(at_ns[rows], kind="stable")]
        for block, part in enumerate(np.array_split(rows, BLOCKS_PER_RUN)):
            fold[part] = (block + k) % FOLDS
    return fold


def _choices(data: Data) -> list[Choice]:
    kinds = [kind for kind in KINDS if not _idle(kind, data)]
    several = len(np.unique(data.run)) > 1
    return [Choice(kind, speed) for speed in ((False, True) if several else (False,)) for kind in kinds]


def _idle(kind: Kind, data: Data) -> bool:
    """The candidate that only adds ubatches is the one before it where there never were several."""
    ubatches = data.features[:, NAMES.index("extra_ubatch")]
    return kind.features == ("step", "extra_ubatch", "prefill_tok", "decode_n") and not ubatches.any()


def _fit(data: Data, choice: Choice) -> tuple[Fitted, Floats]:
    """Coefficients, and each run's speed factor (all 1 where the choice has none)."""
    n_runs = int(data.run.max()) + 1
    speeds = np.ones(n_runs)
    fitted = fit_kind(choice.kind, data.features, data.measured)
    for _ in range(SPEED_ROUNDS if choice.speed else 0):
        predicted = fitted.predict_ns(data.features)
        total = np.bincount(data.run, predicted, n_runs)
        speeds = np.divide(np.bincount(data.run, data.measured, n_runs), total, out=np.ones(n_runs), where=total > 0)
        reference = data.live if data.live.any() else np.ones(len(data.run), dtype=bool)
        weight = predicted * reference
        speeds = speeds / (float((speeds[data.run] * weight).sum()) / float(weight.sum()))
        fitted = fit_kind(choice.kind, data.features, data.measured / speeds[data.run])
    return fitted, speeds


def _judges(data: Data) -> NDArray[np.bool_]:
    """The iterations that a profile is to predict: live traffic where there is enough of it, else all."""
    return data.live if int(data.live.sum()) >= MIN_LIVE else np.ones(len(data.run), dtype=bool)


def _level(data: Data, fitted: Fitted) -> float:
    """Measured over predicted time in all: stalls, which the robust fit discounts, are what a queue feels."""
    rows = _judges(data)
    return float(data.measured[rows].sum() / fitted.predict_ns(data.features[rows]).sum())


def _level_helps(data: Data, models: Mapping[int, Fitted]) -> bool:
    """Whether, on held-out blocks, total time is clearly nearer with the level than with the robust fit as it is."""
    gains = []
    for fold, fitted in models.items():
        out = (data.fold == fold) & _judges(data)
        ratio = float(data.measured[out].sum() / fitted.predict_ns(data.features[out]).sum())
        level = _level(data.pick(data.fold != fold), fitted)
        gains.append(abs(ratio - 1.0) - abs(ratio / level - 1.0))
    found = np.asarray(gains)
    return bool(found.mean() > max(_se(found), TIE_FRAC))


def _heldout(data: Data, choice: Choice) -> tuple[Floats, float, dict[int, Fitted]]:
    """Mean absolute relative error of each held-out fold (each iteration's capped at 1), and the bias in all.

    Judged on live traffic where there is enough of it, since that is what a profile is to predict. Speed factors help
    to fit but not to predict: a later run's speed is not known, so they are 1 here.
    """
    judge, errors, measured, expected = _judges(data), [], 0.0, 0.0
    models: dict[int, Fitted] = {}
    for fold in range(FOLDS):
        inside, out = data.fold != fold, (data.fold == fold) & judge
        if not out.any() or not inside.any():
            continue
        fitted, _ = _fit(data.pick(inside), choice)
        predicted = fitted.predict_ns(data.features[out])
        errors.append(float(np.minimum(np.abs(data.measured[out] / predicted - 1.0), 1.0).mean()))
        measured, expected = measured + float(data.measured[out].sum()), expected + float(predicted.sum())
        models[fold] = fitted
    return np.asarray(errors), measured / expected - 1.0, models


def choose(errors: Sequence[Floats], names: Sequence[str]) -> tuple[int, str]:
    """The first (simplest) candidate that is not clearly worse than the best one, and why in words.

    Not clearly worse: the mean difference over the same held-out folds is within its standard error, or under 0.2
    percentage points.
    """
    best = int(np.argmin([error.mean() for error in errors]))
    for i, error in enumerate(errors):
        gap = error - errors[best]
        if float(gap.mean()) <= max(_se(gap), TIE_FRAC):
            if i == best:
                also = "no simpler model comes near" if i else "it is the simplest model"
                return i, f"lowest held-out error ({error.mean():.1%}), and {also}"
            reason = f"held-out error {error.mean():.1%}; the best, {names[best]!r}, has {errors[best].mean():.1%}"
            return i, reason + ": within the noise, so the simpler one"
    raise AssertionError("the best candidate is always within its own noise")


def _se(values: Floats) -> float:
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def _jackknife(models: Sequence[Fitted]) -> dict[str, int]:
    """Delete-one-group standard errors in femtoseconds; a table's knots only where every fold has them."""
    named = [item.named() for item in models]
    found = {}
    for name in named[0] if named else ():
        if all(name in item for item in named):
            values = np.asarray([item[name] for item in named])
            scale = (len(values) - 1) / len(values)
            found[name] = round(math.sqrt(scale * float(((values - values.mean()) ** 2).sum())) * FS_PER_NS)
    return found
