"""What to send so that a profile can be fitted: a designed grid, and short live traces.

The grid alone mispredicts live traffic (the machine's speed drifts between the two, and single steps are not
what a busy engine does), live traces alone do not reach the corners. So both, and the held-out runs in between.
"""

from workbench.config import validate
from workbench.flows.measure import Measurement, Role
from workbench.runlog.schema import Planned
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec

# (prompt tokens, output tokens) per request, by how many are in flight together
PREFILL_TOK = (16, 64, 200, 500)
GRID: dict[int, tuple[tuple[int, int], ...]] = {
    1: (*((tok, 1) for tok in PREFILL_TOK for _ in range(2)), (32, 24), (32, 24), (600, 16)),
    2: ((32, 24), (32, 24), (400, 16), (400, 16)),
    4: ((32, 24),) * 4 + ((250, 16),) * 4,
}
LENGTHS = {
    "prompt_tok": {"kind": "lognormal", "mean_tok": 100, "sigma": 0.6, "min_tok": 8, "max_tok": 1000},
    "output_tok": {"kind": "lognormal", "mean_tok": 40, "sigma": 0.5, "min_tok": 2, "max_tok": 200},
}


def grid(seed: int) -> list[Measurement]:
    """The designed points, one closed-loop run for each concurrency."""
    return [
        Measurement(
            f"grid-{concurrency}", "grid", concurrency=concurrency, seed=seed + concurrency,
            schedule=tuple(Planned(f"g{i:03d}", None, prompt, output) for i, (prompt, output) in enumerate(points)),
        )
        for concurrency, points in GRID.items()
    ]


def poisson(rate_per_s: float, **how_much: float) -> WorkloadSpec:
    """The demo's traffic at a rate, for `duration_s` or `requests`; the first request is warm-up."""
    raw = {"arrivals": {"kind": "poisson", "rate_per_s": rate_per_s}, "warmup_requests": 1, **how_much, **LENGTHS}
    return validate(WorkloadSpec, raw, "demo workload")


def live(name: str, role: Role, spec: WorkloadSpec, seed: int) -> Measurement:
    """A Poisson run; `role` is live (for calibration) or held_out (for validation)."""
    return Measurement(name, role, draw(spec, seed), seed)
