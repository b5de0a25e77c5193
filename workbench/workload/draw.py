"""From a workload and a seed to the schedule: all requests with times and lengths, before anything is sent."""

from pathlib import Path

from workbench.runlog.schema import Planned
from workbench.workload.single import draw_one
from workbench.workload.spec import WorkloadSpec
from workbench.workload.tenants import draw_tenants


def draw(spec: WorkloadSpec, seed: int, *, base: Path | None = None) -> tuple[Planned, ...]:
    """The schedule. `base` is the folder to which file names in the workload are relative (default: here)."""
    folder = base or Path.cwd()
    if spec.tenants:
        return draw_tenants(spec.tenants, seed, folder, spec.requests, spec.warmup_requests)
    return draw_one(spec, seed, folder)
