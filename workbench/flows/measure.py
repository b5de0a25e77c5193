"""Measure one workload on one freshly started engine of ours, into a run log."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from engines.launch import launch
from engines.lookup import find
from workbench.bench.run import run
from workbench.flows.launched import provenance_of, target_of
from workbench.models.shipped import ModelFile
from workbench.models.tokenizer import load
from workbench.runlog.schema import Planned
from workbench.runlog.table import RunLog
from workbench.workload.prompts import Prompts

Role = Literal["grid", "live", "held_out"]  # a held-out run never enters a fit
TIMEOUT_S = 120.0
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What to send: a drawn schedule, sent on time (open loop) or by `concurrency` senders (closed loop)."""

    name: str
    role: Role
    schedule: tuple[Planned, ...]
    seed: int
    concurrency: int | None = None


def measure(
    what: Measurement, model: ModelFile, options: Mapping[str, Any], folder: Path, *,
    engine: str = "llama.cpp", on_progress: OnProgress | None = None,
) -> RunLog:
    """Start a fresh engine, send the schedule, stop it. The log is `folder/NAME.parquet`.

    A fresh engine for every run: slots keep state between runs, and a run must not depend on the one before.
    """
    form: Literal["ids", "text"] = "ids" if find(engine).requests.ids else "text"
    prompts = Prompts(load(model.tokenizer_path), salt=what.seed).for_schedule(what.schedule, form)
    with launch(engine, model, options, log_dir=folder / "logs") as running:
        provenance = replace(
            provenance_of(running, model), seeds={"load": what.seed},
            workload={"role": what.role, "name": what.name, "concurrency": what.concurrency},
        )
        return run(
            target_of(running, model, TIMEOUT_S), what.schedule, prompts, folder / f"{what.name}.parquet", provenance,
            concurrency=what.concurrency, on_progress=on_progress,
        )
