"""How much is enough: replicas for a load with some of them dead, users of one, queues, autoscalers, forecasts."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sims.run import simulate
from workbench import __version__
from workbench.config import parse, read_text, told_of
from workbench.economics.capacity_spec import CapacitySpec
from workbench.economics.cost_spec import CostSpec, RentedWay
from workbench.files import write_json
from workbench.flows import scalers
from workbench.flows.forecast import forecast
from workbench.flows.load_levels import bench_at, level
from workbench.flows.queue_depth import queue_depth
from workbench.flows.reasons import short_of
from workbench.flows.trial import Bench
from workbench.flows.users import users_per_replica
from workbench.profile import profile as profiles
from workbench.profile.locate import profile_path

KIND, SCHEMA = "workbench.capacity", 1
OnStep = Callable[[str], None]


def capacity_file(path: Path, out: Path | None = None, on_step: OnStep | None = None) -> dict[str, Any]:
    """Read a capacity file, answer it, and write `out/capacity.json` where `out` is given."""
    with told_of(path.name):
        found = capacity(parse(CapacitySpec, read_text(path), path.name), path.parent, on_step=on_step, name=path.name)
    if out is not None:
        write_json(out / "capacity.json", found)
    return found


def capacity(
    spec: CapacitySpec, base: Path, *, on_step: OnStep | None = None, name: str = "capacity"
) -> dict[str, Any]:
    """Shape: docs/economics/capacity.md. `base` is the folder that file names are relative to."""
    say = on_step or (lambda _: None)
    ahead = None if spec.forecast is None else forecast(spec.forecast, base)  # bad input before any work
    scalers.check(spec)
    profile = profiles.read(profile_path(spec.serves.profile, base, name, "serves.profile"))
    peak_rps = max(spec.load.rates_rps())
    say(f"replicas for {peak_rps:.3g} requests/s ...")
    bench = bench_at(_as_cost(spec), profile, peak_rps, base)
    needed = level(bench, peak_rps, 1, spec.max_replicas).replicas
    fleet = needed + spec.serves.spare_replicas
    users = None
    if spec.session is not None:
        say("users of one replica ...")
        users = users_per_replica(bench, spec.session, spec.seeds)
    scaled = []
    if spec.scaler:
        say("autoscalers over the day ...")
        scaled = scalers.compare(spec, bench, needed, base)
    return {
        "kind": KIND, "schema": SCHEMA, "workbench": __version__, "title": spec.title, "origin": "simulated",
        "load": asdict(bench.load) | {"rates_rps": list(spec.load.rates_rps()), "seeds": list(spec.seeds)},
        "slo": spec.slo.model_dump(exclude_none=True), "profile_source": profile.source,
        "profile_sha256": profile.sha256, "replicas": needed, "spare_replicas": spec.serves.spare_replicas,
        "failure": [_with(bench, n) for n in range(fleet, max(0, fleet - spec.down) - 1, -1) if n > 0],
        "users": users, "scalers": scaled, "forecast": ahead,
        "answer": _answer(spec, needed, peak_rps, users),
    }


def _as_cost(spec: CapacitySpec) -> CostSpec:
    """What the simulation of a level reads of a file."""
    free = RentedWay(kind="on_demand", name="any", usd_per_hour=1.0)
    return CostSpec(load=spec.load, slo=spec.slo, serves=spec.serves, way=(free,), window_s=spec.window_s,
                    seeds=spec.seeds, max_replicas=spec.max_replicas)


def _with(bench: Bench, replicas: int) -> dict[str, Any]:
    """The peak load on so many: attainment, why not, and how long the queue gets."""
    trial = bench.trial(replicas)
    logs = [simulate(schedule, bench.profile, bench.rules, replicas=replicas, keep_journal=False).log
            for schedule in bench.schedules]
    depths = [queue_depth(log) for log in logs]
    return trial.as_dict() | {
        "why_not": None if trial.met else short_of(trial),
        "queue_depth": {key: float(np.mean([depth[key] for depth in depths])) for key in depths[0]},
    }


def _answer(spec: CapacitySpec, needed: int, peak_rps: float, users: dict[str, Any] | None) -> str:
    spare = spec.serves.spare_replicas
    text = (f"{needed} replica{'s' if needed > 1 else ''} keep the SLO at the peak of {peak_rps:.3g} requests/s, "
            f"{needed + spare} with {spare} spare (simulated)")
    if users is not None:
        text += f"; one replica serves {users['users']} users"
    return text + "."
