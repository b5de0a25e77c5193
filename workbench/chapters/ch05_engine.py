"""The engine of chapter 5, started and measured here: a profile of this machine, then runs at several loads."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.lookup import find as engine
from engines.lookup import require
from sims.rules import LlamaCppRules
from sims.saturation import saturation_rps
from workbench.chapters.about import within
from workbench.errors import Failure
from workbench.files import read_json
from workbench.flows import calibrate
from workbench.flows.demo import LIVE_BUSY, MODEL, OPTIONS, REPEATED
from workbench.flows.fit import fit_profile
from workbench.flows.measure import Measurement, measure
from workbench.flows.rates import rate_for_busy
from workbench.flows.validate import simulated_twin, step_drift_frac
from workbench.metrics import succeeded, values
from workbench.models.shipped import ModelFile, find
from workbench.paths import datasets, root
from workbench.profile import profile as profiles
from workbench.profile.profile import Profile
from workbench.runlog.table import RunLog, read
from workbench.workload.draw import draw

SLOTS = (1, 4)
LOADS = (0.4, 0.7)  # of what the engine completes with so many slots
LIVE_S = 6.0
TOO_FAR_FRAC = 0.15  # the engine's own steps off the profile by more: the machine changed in between


@dataclass(frozen=True)
class Run:
    """One held-out run: mean end-to-end time of the engine, and of the simulator from the same send times."""

    slots: int
    rate_rps: float
    measured_s: float
    simulated_s: float
    busy_frac: float
    n: int
    client_limited: bool
    drift_frac: float  # of the engine's own steps against the profile: what is not the simulator's error

    @property
    def steady(self) -> bool:
        return abs(self.drift_frac) <= TOO_FAR_FRAC

    @property
    def error_frac(self) -> float:
        return self.simulated_s / self.measured_s - 1.0


@dataclass(frozen=True)
class Real:
    """What the engine did; no runs where it was not started, and why. `kept`: what was measured before."""

    profiles: Mapping[int, Profile]  # by the number of slots
    runs: tuple[Run, ...]
    why: str = ""
    kept: str = ""

    @property
    def limited(self) -> str:
        late = sum(run.client_limited for run in self.runs)
        return f" In {late} of {len(self.runs)} the client was late: the machine was busy otherwise." if late else ""


def engine_runs(measure_n: int, seed: int, quick: bool) -> Real:
    """`quick` starts nothing and takes the shipped profile; nor does a machine without the engine. UsageError."""
    within("measure_n", measure_n, 10, 1000)
    if quick:
        return not_measured("`quick` starts no engine")
    try:
        require(engine("llama.cpp"))
        model = find(MODEL, REPEATED)
        with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
            return _measured(model, Path(folder), measure_n, seed)
    except Failure as missing:
        return not_measured(str(missing))


def not_measured(why: str) -> Real:
    profile = profiles.read(datasets() / "profiles" / f"example-cpu-{REPEATED.lower()}.json")
    return Real(dict.fromkeys(SLOTS, profile), (), why, _committed())


def _committed() -> str:
    """The gallery's run of the demo, where this is a checkout."""
    top = root()
    path = top / "reports" / "gallery" / "capacity" / "results.json" if top else None
    if path is None or not path.is_file():
        return ""
    found: dict[str, Any] = {row["name"]: row for row in read_json(path)}
    seen, made = found["e2e_mean_measured_s"], found["e2e_mean_simulated_s"]
    return (f"In the committed demo, four at a time, its mean end-to-end time was {seen['value']:.3f} s (measured, n = "
            f"{seen['n']} runs, {seen['low']:.3f} to {seen['high']:.3f}) and the simulator said {made['value']:.3f} s.")


def _measured(model: ModelFile, folder: Path, measure_n: int, seed: int) -> Real:
    """A profile for each number of slots: an engine of one slot takes its steps otherwise than one of four."""
    found = [_of_slots(slots, model, folder / f"{slots}", measure_n, seed) for slots in SLOTS]
    return Real({slots: profile for slots, (profile, _) in zip(SLOTS, found, strict=True)},
                tuple(run for _, runs in found for run in runs))


def _of_slots(slots: int, model: ModelFile, folder: Path, measure_n: int, seed: int) -> tuple[Profile, list[Run]]:
    """Grid and two live traces, between which the held-out runs lie, so that all see the same drift."""
    def taken(what: Measurement) -> Path:
        measure(what, model, {**OPTIONS, "slots": slots}, folder)
        return folder / f"{what.name}.parquet"

    calibration = [taken(item) for item in calibrate.grid(seed) if (item.concurrency or 0) <= slots]
    rough = fit_profile(calibration, or_limited=True)
    low, middle = (calibrate.live(f"live-{i}", "live", calibrate.poisson(rate_for_busy(rough, busy, seed),
                                                                       duration_s=LIVE_S), seed + i)
                   for i, busy in enumerate(LIVE_BUSY))
    calibration.append(taken(low))
    held_out = [(rate, taken(what)) for rate, what in _loads(rough, slots, measure_n, seed)]
    calibration.append(taken(middle))
    profile = fit_profile(calibration, or_limited=True)
    return profile, [_run(read(path), slots, rate, profile) for rate, path in held_out]


def _loads(rough: Profile, slots: int, measure_n: int, seed: int) -> list[tuple[float, Measurement]]:
    rules = LlamaCppRules(slots=slots)
    most = saturation_rps(draw(calibrate.poisson(1.0, requests=150), seed), rough, rules)
    assert most is not None
    rates = [float(f"{load * most:.2g}") for load in LOADS]
    return [(rate, calibrate.live(f"held-out-{slots}-{i}", "held_out", calibrate.poisson(rate, requests=measure_n),
                                  seed + 31 + i)) for i, rate in enumerate(rates)]


def _run(log: RunLog, slots: int, rate_rps: float, profile: Profile) -> Run:
    twin, busy_frac = simulated_twin(log, profile)
    counted = log.counted
    return Run(slots, rate_rps, float(np.mean(values(log, "e2e_s"))), float(np.mean(values(twin, "e2e_s"))), busy_frac,
               int(succeeded(counted).sum()), bool(log.provenance.client.get("client_limited")),
               step_drift_frac(profile, [log]) or 0.0)
