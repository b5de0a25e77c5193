"""What makes two measurements of a point the same one, and, where they are not, which field says so."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.common import translate
from engines.record import Engine, Start
from workbench import config
from workbench.flows.sweeps.points import Point, Setting, digest
from workbench.models.shipped import ModelFile
from workbench.runlog.schema import Planned

_PORT, _KEY, _MODEL = 64_999, "workbench-key", "/workbench-model"
Fingerprint = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Here:
    """What is the same for all points of a sweep on one machine."""

    gpu: str
    driver: str | None
    client: str
    cpu: str


def options_of(engine: Engine, setting: Setting) -> tuple[dict[str, Any], config.Settings | None]:
    """(as asked, as the engine reads them; None for an endpoint). Raises UsageError for an unknown key or value."""
    asked, _ = translate(engine.name, engine.common, setting.asked)
    if not engine.launches or "url" in asked:
        return asked, None
    return asked, config.validate(engine.options, asked, f"options of {engine.name}")


def command_of(engine: Engine, setting: Setting) -> list[str]:
    """What is run, without port, key and paths; for a server of ours its options. Raises UsageError (options)."""
    asked, settings = options_of(engine, setting)
    if settings is None:
        return ["endpoint", digest({key: value for key, value in asked.items() if "key" not in key})[:16]]
    if engine.command is None:
        return [engine.name, digest(settings.model_dump(mode="json", exclude={"port"}))[:16]]
    with tempfile.TemporaryDirectory(prefix="workbench-") as private:
        start = Start(_MODEL, setting.model or engine.name, "HOST", _PORT, _KEY, settings, Path(private))
        words = engine.command(start).arguments
        plain = {str(_PORT): "PORT", _KEY: "KEY", _MODEL: "MODEL"}
        return [plain.get(word, word.replace(private, "PRIVATE").replace(_KEY, "KEY")) for word in words]


def fingerprint(
    point: Point, engine: Engine, model: ModelFile | None, schedule: Sequence[Planned], here: Here, *, workers: int = 1,
    slo: Mapping[str, Any] | None = None,
) -> Fingerprint:
    """Known before anything is started, so that a rerun can tell what it need not do. `slo` is what a searched point
    is judged by: its row holds the verdict."""
    judged = {"slo": dict(slo)} if slo is not None and point.searched else {}
    return judged | {
        "engine": engine.name, "engine_version": engine.version(), "engine_file": engine.source,
        "command": command_of(engine, point.setting),
        "model": point.setting.model, "quant": model.quant if model else point.setting.quant,
        "weights_id": model.weights_id if model else None, "gpus": point.setting.gpus,
        "gpu": here.gpu, "driver": here.driver, "cpu": here.cpu,
        "workload": digest([item.as_list() for item in schedule])[:32], "rate_per_s": point.rate_per_s,
        "concurrency": point.concurrency, "seed": point.seed, "client": here.client, "workers": workers,
    }


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Each field that differs, as `field: before -> now`; empty for the same measurement."""
    names = dict.fromkeys((*before, *now))
    return [f"{name}: {_short(before.get(name))} -> {_short(now.get(name))}" for name in names
            if before.get(name) != now.get(name)]


def _short(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
