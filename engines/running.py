"""An engine that runs: where it is, what was asked of it, and what it says it does."""

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from engines import logs, registry
from engines.record import Engine
from engines.supervised import Supervised
from workbench.prometheus_text import sum_samples

HTTP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Fact:
    """One property of a running engine: asked for, seen, and where; `seen` is None where it does not tell."""

    asked: Any
    seen: Any
    seen_via: str | None


def facts_as_dict(facts: Mapping[str, Fact]) -> dict[str, dict[str, Any]]:
    """The form that provenance stores."""
    return {name: asdict(fact) for name, fact in facts.items()}


@dataclass
class Running:
    """A ready engine; a context manager that stops it. `url` has no `/v1` at its end."""

    engine: str
    url: str
    model_name: str
    version: str | None
    record: Engine = field(repr=False)
    api_key: str | None = field(repr=False, default=None)
    facts: dict[str, Fact] = field(default_factory=dict)
    log_path: Path | None = None
    process: Supervised | None = field(repr=False, default=None)
    noted: Path | None = field(repr=False, default=None)  # where `workbench engines ps` finds it
    started_s: float | None = None  # from the launch to the first answer

    @property
    def pid(self) -> int | None:
        """The engine's own process; None where it is not ours."""
        return self.process.engine.pid if self.process is not None and self.process.engine is not None else None

    def get_text(self, path: str) -> str | None:
        """Body of a GET with the key; None where it cannot be had. No redirects, no proxies."""
        import httpx

        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        with contextlib.suppress(httpx.HTTPError):
            tls = self.url.startswith("https:")  # without it, loading the certificates would be the slowest part
            answer = httpx.get(self.url + path, headers=headers, timeout=HTTP_TIMEOUT_S, trust_env=False, verify=tls)
            if answer.status_code == 200:
                return answer.text
        return None

    def get(self, path: str) -> Any:
        """Parsed JSON of a GET, or None."""
        import json

        text = self.get_text(path)
        with contextlib.suppress(ValueError):
            return json.loads(text) if text is not None else None
        return None

    def metrics(self) -> dict[str, float]:
        """The engine's own counters under our names; label sets are summed; what it does not tell is left out."""
        if not self.record.metrics:
            return {}
        totals = sum_samples(self.get_text(self.record.metrics_path) or "")
        return {ours: totals[theirs] for ours, theirs in self.record.metrics.items() if theirs in totals}

    @property
    def log(self) -> str:
        return logs.read(self.log_path) if self.log_path is not None else ""

    def log_tail(self, lines: int = 20) -> list[str]:
        return logs.tail(self.log_path, lines) if self.log_path is not None else []

    def alive(self) -> bool:
        """Its process runs; for one that is not ours: it answers."""
        return self.process.alive() if self.process is not None else self.get_text(self.record.health_path) is not None

    def stop(self) -> None:
        """End it and all it started; nothing to do for an endpoint, or a second time."""
        if self.process is not None:
            self.process.stop()
        if self.noted is not None:
            registry.forget(self.noted)

    def __enter__(self) -> "Running":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
