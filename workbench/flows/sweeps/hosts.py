"""An engine as a sweep sees it: started once for all points of a setting, asked how it is, stopped."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from engines import launch
from engines.lookup import find
from engines.record import Engine
from engines.running import Running
from workbench.bench.target import Target
from workbench.flows.bench_prompts import Made, calibrated, exact
from workbench.flows.engine_models import model_for
from workbench.flows.launched import provenance_of, target_of
from workbench.flows.sweeps.points import Setting
from workbench.models.shipped import ModelFile
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Planned


class Host(Protocol):
    """Something that serves. `pid` is the process under which all of it runs; None where it is not ours."""

    @property
    def target(self) -> Target: ...
    @property
    def provenance(self) -> Provenance: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def started_s(self) -> float | None: ...
    @property
    def metric_names(self) -> Mapping[str, str]: ...
    @property
    def metrics_url(self) -> str: ...

    def prompts(self, schedule: Sequence[Planned], folder: Path) -> Made: ...
    def metrics(self) -> dict[str, float]: ...
    def alive(self) -> bool: ...
    def log_tail(self) -> list[str]: ...
    def stop(self) -> None: ...


Starter = Callable[[Setting, Path], Host]  # (setting, folder for its log)


@dataclass
class EngineHost:
    """One of our engines, or an endpoint that one of them speaks to."""

    running: Running
    model: ModelFile | None
    target: Target
    provenance: Provenance
    metric_names: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.metric_names = self.running.record.metrics

    @property
    def pid(self) -> int | None:
        return self.running.process.keeper_pid if self.running.process is not None else None

    @property
    def started_s(self) -> float | None:
        return self.running.started_s

    @property
    def metrics_url(self) -> str:
        return self.running.url + self.running.record.metrics_path

    def prompts(self, schedule: Sequence[Planned], folder: Path) -> Made:
        """Of exactly the length asked for where the tokenizer is known, else tried out on the server."""
        record = self.running.record
        tokenizer = self.model.tokenizer_path if self.model is not None else None
        if tokenizer is not None:
            return exact(schedule, tokenizer, ids=record.requests.ids)
        return calibrated(self.target, schedule, None, folder, self.provenance)

    def metrics(self) -> dict[str, float]:
        return self.running.metrics()

    def alive(self) -> bool:
        return self.running.alive()

    def log_tail(self) -> list[str]:
        return self.running.log_tail(12)

    def stop(self) -> None:
        self.running.stop()


@dataclass(frozen=True, slots=True)
class Shelf:
    """Engines by name, those of the user's own files first; models made once."""

    own: Mapping[str, Engine] = field(default_factory=dict)
    models: dict[tuple[str, str, str], ModelFile | None] = field(default_factory=dict)

    def engine(self, name: str) -> Engine:
        return self.own.get(name) or find(name)

    def model(self, setting: Setting) -> ModelFile | None:
        """As the engine reads it; None for one that needs none, or an endpoint."""
        engine = self.engine(setting.engine)
        if not engine.needs_model or not setting.model or "url" in setting.options or not engine.launches:
            return None
        key = (setting.engine, setting.model, setting.quant)
        if key not in self.models:
            self.models[key] = model_for(engine, setting.model, setting.quant)
        return self.models[key]

    def start(self, setting: Setting, log_dir: Path) -> EngineHost:
        """Raises UsageError, EngineNotAvailable, or Failure with the engine's last words."""
        engine, model = self.engine(setting.engine), self.model(setting)
        asked: dict[str, Any] = setting.asked
        running = launch(engine, model, asked, log_dir=log_dir, timeout_s=setting.start_timeout_s)
        return EngineHost(running, model, target_of(running, model, setting.timeout_s), provenance_of(running, model))
