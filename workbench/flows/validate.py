"""Hold a simulation against the measurement it never saw, request for request, and say how far off it is."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sims.replay import replay
from sims.run import simulate
from workbench.errors import Failure, UsageError
from workbench.flows.fit import DOUBT_NS, SAME, rules_of
from workbench.metrics import describe, succeeded, values
from workbench.profile.profile import Profile
from workbench.runlog.schema import Planned
from workbench.runlog.table import RunLog, read
from workbench.stats.intervals import half_range_frac

METRIC_NAMES = ("ttft_s", "tpot_s", "e2e_s")
STATS = ("mean", "p50", "p95")
AIM_FRAC = 0.10  # of the E2E mean, up to a busy fraction of 0.8
TOO_NOISY_FRAC = 0.15  # half-range of the repeats above which no verdict is given
SCHEMA = 1


def as_sent(log: RunLog) -> tuple[Planned, ...]:
    """The workload as it was really sent: actual send times, lengths as the server counted them."""
    good = log.where(succeeded(log))
    columns = zip(
        good.text("request_id").tolist(), good.ints("sent_ns").tolist(), good.ints("prompt_tok").tolist(),
        good.ints("output_tok").tolist(), good.flags("warmup").tolist(), strict=True,
    )
    return tuple(Planned(name, sent, prompt, output, warmup=warm) for name, sent, prompt, output, warm in columns)


def simulated_twin(log: RunLog, profile: Profile) -> tuple[RunLog, float]:
    """The same requests on the simulator, and the engine's busy fraction there."""
    schedule = sorted(as_sent(log), key=lambda planned: planned.intended_ns or 0)
    if not schedule:
        raise Failure("no request of this run ended ok: there is nothing to compare")
    found = simulate(tuple(schedule), profile, rules_of(log))
    return found.log, found.busy_ns[0] / found.stop_ns


def validate(profile: Profile, paths: Sequence[Path]) -> dict[str, Any]:
    """Measured against simulated over the repeats of one workload, in the JSON shape of DESIGN.

    Each repeat is simulated from its own send times; a statistic is then averaged over the repeats. The
    half-range of the measured repeats is the noise against which the error is to be read.
    """
    if not paths:
        raise UsageError("validate: name at least one measured run log")
    logs = [_measured(path, profile) for path in paths]
    twins = [simulated_twin(log, profile) for log in logs]
    metrics = {name: _compare(name, logs, [twin for twin, _ in twins]) for name in METRIC_NAMES}
    e2e = metrics["e2e_s"]["mean"]
    drift_frac = step_drift_frac(profile, logs)
    return {
        "kind": "workbench.validation", "schema": SCHEMA, "subject": profile.subject.model_dump(),
        "profile_source": profile.source, "profile_sha256": profile.sha256,
        "runs": [path.stem for path in paths], "requests": [len(log.counted) for log in logs],
        "partial": [log.partial for log in logs],
        "not_ok": [int((~succeeded(log.counted)).sum()) for log in logs],
        "client_limited": [bool(log.provenance.client.get("client_limited")) for log in logs],
        "busy_frac": float(np.mean([busy for _, busy in twins])), "repeats": len(logs), "metrics": metrics,
        "step_drift_frac": drift_frac, "verdict": verdict(e2e["rel_error_frac"], e2e["half_range_frac"], drift_frac),
    }


def step_drift_frac(profile: Profile, logs: Sequence[RunLog]) -> float | None:
    """Time of the engine's steps in these runs over what the profile says of the same steps, minus one.

    It tells the two sources of error apart: what is left of the error when this is small is the simulator's.
    """
    took_ns = said_ns = 0
    for log in logs:
        found = replay(log, rules_of(log), engine_in_ns=profile.overhead_ns("engine_in"), doubt_ns=DOUBT_NS)
        took_ns += sum(item.ns for item in found.samples)
        said_ns += sum(profile.iteration_ns(item.batch) for item in found.samples)
    return took_ns / said_ns - 1.0 if said_ns else None


def verdict(rel_error_frac: float | None, half_range_frac: float | None, drift_frac: float | None = None) -> str:
    """One sentence on the E2E mean; none of it where the machine was too noisy to tell."""
    if rel_error_frac is None:
        return "no verdict: nothing to compare"
    if half_range_frac is not None and half_range_frac > TOO_NOISY_FRAC:
        return (f"inconclusive: this machine is too noisy (repeats differ by +-{half_range_frac:.0%}, "
                f"more than {TOO_NOISY_FRAC:.0%})")
    within = "within" if abs(rel_error_frac) <= AIM_FRAC else "outside"
    spread = "one run, spread unknown" if half_range_frac is None else f"repeats differ by +-{half_range_frac:.1%}"
    if drift_frac is not None:
        way = "longer" if drift_frac > 0 else "less"
        spread += f"; the engine's own steps took {abs(drift_frac):.1%} {way} than the profile says"
    return f"simulated E2E mean is off by {rel_error_frac:+.1%}: {within} the aim of {AIM_FRAC:.0%} ({spread})"


def _measured(path: Path, profile: Profile) -> RunLog:
    """A real run of what the profile speaks of, and not one that the profile was fitted to."""
    log = read(path)
    if log.provenance.world != "real":
        raise UsageError(f"{path.name}: a simulated run; validate compares with a measured one")
    for field in SAME:
        asked, there = getattr(log.provenance, field), getattr(profile.subject, field)
        if there and asked != there:
            raise UsageError(f"{path.name}: {field} is {asked!r}, the profile speaks of {there!r}")
    fitted = {(run.get("name"), run.get("started_at_utc")) for run in profile.provenance.get("runs", ())}
    if (path.stem, log.provenance.started_at_utc) in fitted:
        raise UsageError(f"{path.name}: the profile was fitted to this run; validate on one that it never saw")
    return log


def _compare(name: str, logs: Sequence[RunLog], twins: Sequence[RunLog]) -> dict[str, Any]:
    measured = [describe(values(_answered(log), name)) for log in logs]
    simulated = [describe(values(twin, name)) for twin in twins]
    found: dict[str, Any] = {"unit": "s"}
    for stat in STATS:
        a = [item[stat] for item in measured]
        b = [item[stat] for item in simulated]
        found[stat] = _pair(np.array(a, dtype=float), np.array(b, dtype=float))
    found["n"] = {"measured": sum(int(item["n"] or 0) for item in measured),
                  "simulated": sum(int(item["n"] or 0) for item in simulated)}
    return found


def _answered(log: RunLog) -> RunLog:
    return replace(log, table=log.where(succeeded(log)).table)


def _pair(measured: np.ndarray[Any, np.dtype[np.float64]],
          simulated: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float | None]:
    if np.isnan(measured).any() or np.isnan(simulated).any():
        return dict.fromkeys(("measured", "simulated", "rel_error_frac", "half_range_frac"))
    a, b = float(measured.mean()), float(simulated.mean())
    return {"measured": a, "simulated": b, "rel_error_frac": b / a - 1.0 if a else None,
            "half_range_frac": half_range_frac(measured)}
