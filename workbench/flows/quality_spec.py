"""SUITE.toml: which models in which quantisations on which engines, asked which tasks."""

import hashlib
import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from workbench.config import Settings
from workbench.errors import UsageError
from workbench.flows.sweeps.points import Setting
from workbench.flows.sweeps.spec import EngineGrid
from workbench.quality.task_spec import TaskSpec, find_task, resolved, shipped, suggestion

ALONE: dict[str, dict[str, Any]] = {
    "llama.cpp": {"slots": 1, "prefix_caching": True},  # one question at a time; a slot keeps its prompt
    "transformers": {"continuous_batching": False},  # with it on there are no log-probabilities of a prompt
}


class SuiteSpec(Settings):
    """The whole file. Engines as in a sweep: their lists are crossed, several tables stand side by side."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    seed: int = Field(0, ge=0, description="of sampled decoding")
    limit: int | None = Field(None, ge=1, description="only the first so many items of each task")
    tasks: tuple[str, ...] = Field((), description="tasks that ship, by name")
    task: tuple[TaskSpec, ...] = Field((), description="tasks of your own")
    tokenizer: str = Field("", description="tokenizer.json, or its folder, of an endpoint's model")
    engine: tuple[EngineGrid, ...] = Field(min_length=1)

    @field_validator("engine")
    @classmethod
    def _no_workloads(cls, value: tuple[EngineGrid, ...]) -> tuple[EngineGrid, ...]:
        if any(grid.workload for grid in value):
            raise ValueError("workload: a suite has tasks, no workloads; leave it out")
        return value

    @model_validator(mode="after")
    def _some_tasks(self) -> Self:
        names = [*self.tasks, *(spec.name for spec in self.task)]
        if not names:
            raise ValueError("tasks: nothing is asked; `workbench quality tasks` lists what ships")
        if len(set(names)) < len(names):
            raise ValueError("tasks: each name once")
        return self

    def specs(self, base: Path, only: tuple[str, ...] = (), limit: int | None = None) -> list[TaskSpec]:
        """Every task, whole; `only` are those asked for on the command line, `limit` goes before the file's."""
        found = [find_task(name) for name in self.tasks] + [resolved(spec, base) for spec in self.task]
        by_name = {spec.name: spec for spec in found}
        for name in only:
            if name not in by_name:
                raise UsageError(f"--task {name}: not in the suite; {suggestion(name, by_name)}")
        most = limit or self.limit
        chosen = [spec for spec in found if not only or spec.name in only]
        return [spec.model_copy(update={"limit": most}) for spec in chosen] if most is not None else chosen

    def settings(self) -> list[Setting]:
        """One engine, model, quantisation, GPU count and option set each."""
        found = [
            Setting(grid.name, model, quant, gpus, options, grid.timeout_s, grid.start_timeout_s)
            for grid in self.engine
            for model, quant, gpus, options in product(grid.model, grid.quant, grid.gpus, grid.options)
        ]
        if len({setting.key for setting in found}) < len(found):
            raise UsageError("engine: the same engine, model, quant, gpus and options twice; leave one out")
        return found


def started_with(setting: Setting) -> Setting:
    """As it is started: what one question at a time wants, unless the options say otherwise."""
    wanted = {} if "url" in setting.options else ALONE.get(setting.engine, {})
    return replace(setting, options={**wanted, **setting.options})


def task_record(spec: TaskSpec, sha256: str, more: dict[str, Any]) -> dict[str, Any]:
    """What of a task decides its answers, with no path in it; `sha256` is over all of it."""
    said = spec.model_dump(mode="json", exclude={"file", "include", "data", "limit"})
    said |= {"stop": list(spec.sampling.stop), "content_sha256": sha256, **more}
    text = json.dumps(said, sort_keys=True, ensure_ascii=False, default=str)
    return {**said, "sha256": hashlib.sha256(text.encode()).hexdigest()}


__all__ = ["SuiteSpec", "shipped", "started_with", "task_record"]
