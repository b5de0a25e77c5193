"""`validate silicon`: thousands of published serving runs against closed loops on profiles from the kernel database."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from workbench.errors import UsageError
from workbench.flows.silicon_loop import PROMPTS_PER_SEAT, NotModelledError, Outcome, simulate_cell
from workbench.flows.silicon_sample import NAME, Cell, read, stratified
from workbench.profile.silicon.database import DISTRIBUTION, package_folder

KIND, SCHEMA = "workbench.silicon_sample", 1
WORST, SMALLEST_GROUP = 10, 3
POOLS = 30
ASSUMED = (
    "lengths drawn evenly over 0.8 to 1 of the nominal ones, 10 prompts a seat, at most 8,192 tokens a step, no prefix "
    "cache: as the public benchmark behind most rows runs",
    "every engine schedules as vLLM does; a data-parallel group is one of its ranks",
    "kernel times only: neither the host's work between steps nor the way over HTTP",
    "a row's own quantisation where the database has it, else that of the model's published checkpoint; 16-bit KV",
    "the sample does not say whether it holds means or medians: means are compared (`as_median` in --json)",
)


@dataclass(frozen=True, slots=True)
class Compared:
    cell: Cell
    found: Outcome

    @property
    def tpot_error_frac(self) -> float:
        return self.found.tpot_s / self.cell.tpot_s - 1.0

    @property
    def ttft_error_frac(self) -> float:
        return self.found.ttft_s / self.cell.ttft_s - 1.0

    @property
    def median_ttft_error_frac(self) -> float:
        return self.found.median_ttft_s / self.cell.ttft_s - 1.0

    @property
    def median_tpot_error_frac(self) -> float:
        return self.found.median_tpot_s / self.cell.tpot_s - 1.0


def validate_silicon(
    path: Path | None = None, *, engine: str | None = None, gpu: str | None = None, model: str | None = None,
    limit: int | None = None, pools: int = POOLS, prompts_per_seat: int = PROMPTS_PER_SEAT,
    on_cell: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Compare the usable rows of `path` (default: the package's own sample). `limit` takes some of every engine,
    GPU and model, `pools` at most so many where prefill and decode are apart: these take seconds each.
    `on_cell(done, of)` is told of progress."""
    sample = read(package_folder() / "systems" / NAME if path is None else path)
    wanted = [
        cell for cell in sample.cells
        if engine in (None, cell.engine) and gpu in (None, cell.gpu) and model in (None, cell.model)
    ]
    if not wanted:
        raise UsageError(f"no usable row of {NAME} has engine {engine}, GPU {gpu}, model {model}; it has the engines "
                         f"{_names(sample.cells, 'engine')} and the GPUs {_names(sample.cells, 'gpu')}")
    together = [cell for cell in wanted if cell.prefill is None]
    apart = [cell for cell in wanted if cell.prefill is not None]
    chosen = stratified(together, limit) + stratified(apart, min(pools, limit or pools))
    begun = time.process_time()
    everything, refused = _simulate(chosen, prompts_per_seat, on_cell)
    done = [item for item in everything if item.cell.prefill is None]
    two_pools = [item for item in everything if item.cell.prefill is not None]
    return {
        "kind": KIND, "schema": SCHEMA, "sample": f"{NAME} of {DISTRIBUTION} {version(DISTRIBUTION)}",
        "rows": sample.rows, "left_out": sample.left_out, "usable": len(sample.cells), "asked": len(wanted),
        "chosen": len(chosen), "simulated": len(everything), "two_pools": {"usable": len(apart), **_errors(two_pools)},
        "prompts_per_seat": prompts_per_seat,
        "other_quantisation": sum(not item.found.own_quant for item in everything),
        "not_modelled": [{"reason": reason, "n": n} for reason, n in refused.most_common()],
        "noise": sample.noise, "overall": _errors(done),
        "groups": _groups(done, ("engine", "gpu")),
        "two_pools_groups": _groups(two_pools, ("engine", "gpu")),
        "by_model": _groups(done, ("engine", "gpu", "model", "dense")),
        "by_concurrency": _by_concurrency(done), "worst": _worst(done), "assumed": list(ASSUMED),
        "cpu_s": time.process_time() - begun,
    }


def _simulate(
    cells: Sequence[Cell], prompts_per_seat: int, on_cell: Callable[[int, int], None] | None
) -> tuple[list[Compared], Counter[str]]:
    done: list[Compared] = []
    refused: Counter[str] = Counter()
    for number, cell in enumerate(cells):
        try:
            done.append(Compared(cell, simulate_cell(cell, prompts_per_seat)))
        except NotModelledError as reason:
            refused[str(reason)] += 1
        if on_cell is not None:
            on_cell(number + 1, len(cells))
    return done, refused


def _errors(done: Sequence[Compared]) -> dict[str, Any]:
    """MAPE, median absolute error and bias of means; beside them the MAPE if the sample held medians."""
    found: dict[str, Any] = {"n": len(done)}
    for name in ("tpot", "ttft"):
        errors = np.array([getattr(item, f"{name}_error_frac") for item in done])
        medians = np.array([getattr(item, f"median_{name}_error_frac") for item in done])
        found[f"{name}_s"] = {
            "mape_frac": float(np.abs(errors).mean()), "median_ape_frac": float(np.median(np.abs(errors))),
            "bias_frac": float(errors.mean()), "as_median_mape_frac": float(np.abs(medians).mean()),
            "as_median_median_ape_frac": float(np.median(np.abs(medians))),
        } if done else None
    return found


def _groups(done: Sequence[Compared], keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Errors by attributes of the cell; finer groups of fewer than three cells are left to the coarser table."""
    groups: dict[tuple[str, ...], list[Compared]] = defaultdict(list)
    for item in done:
        groups[tuple(getattr(item.cell, key) for key in keys)].append(item)
    return [
        dict(zip(keys, names, strict=True)) | _errors(members) for names, members in sorted(groups.items())
        if len(keys) < 3 or len(members) >= SMALLEST_GROUP
    ]


def _by_concurrency(done: Sequence[Compared]) -> list[dict[str, Any]]:
    edges = (1, 5, 17, 65, 257, 10**9)
    rows = []
    for low, high in pairwise(edges):
        members = [item for item in done if low <= item.cell.concurrency < high]
        if members:
            most = max(item.cell.concurrency for item in members)
            rows.append({"from": low, "to": min(high - 1, most)} | _errors(members))
    return rows


def _worst(done: Sequence[Compared]) -> list[dict[str, Any]]:
    rows = sorted(done, key=lambda item: -abs(np.log1p(item.tpot_error_frac)))[:WORST]
    return [
        {key: value for key, value in asdict(item.cell).items()
         if key in ("name", "engine", "version", "model", "gpu", "dense", "isl_tok", "osl_tok")}
        | {"concurrency": item.cell.concurrency, "measured_tpot_s": item.cell.tpot_s,
           "simulated_tpot_s": item.found.tpot_s, "rel_error_frac": item.tpot_error_frac}
        for item in rows
    ]


def _names(cells: Sequence[Cell], key: str) -> str:
    return ", ".join(sorted({getattr(cell, key) for cell in cells}))
