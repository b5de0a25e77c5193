"""The engine of the moment: kept while the setting stays, started anew when it changes or has died."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engines import logs
from workbench.errors import Failure, UsageError
from workbench.flows.sweeps.failures import PointFailure, of_start
from workbench.flows.sweeps.hosts import Host, Starter
from workbench.flows.sweeps.points import Setting

MOST_BAD_STARTS = 2  # in a row: then the rest of the setting's points are labelled and not tried


@dataclass(slots=True)
class Session:
    """At most one engine at a time. `bad_starts` counts, by setting, starts in a row that failed."""

    start: Starter
    log_dir: Path
    host: Host | None = None
    setting: Setting | None = None
    bad_starts: dict[str, int] = field(default_factory=dict)
    loads_s: float = 0.0

    def loaded(self, setting: Setting) -> bool:
        return self.host is not None and self.setting == setting

    def host_for(self, setting: Setting) -> tuple[Host | None, float | None, PointFailure | None]:
        """(a host that runs, seconds of loading or None where it ran already, or why there is none)."""
        if self.host is not None and self.setting == setting and self.host.alive():
            return self.host, None, None
        self.stop()
        if self.bad_starts.get(setting.key, 0) >= MOST_BAD_STARTS:
            return None, None, PointFailure("not tried", f"{setting.label}: failed to start {MOST_BAD_STARTS} times "
                                            "in a row; `--retry-failed` tries again")
        begun = time.monotonic()
        try:
            self.host, self.setting = self.start(setting, self.log_dir), setting
        except (Failure, UsageError) as error:
            if isinstance(error, UsageError):
                failure = PointFailure("refused", str(error))
            elif type(error) is not Failure:  # EngineNotAvailable
                failure = PointFailure("not installed", str(error))
            else:
                failure = of_start(str(error), self._last_log())
            self.bad_starts[setting.key] = self.bad_starts.get(setting.key, 0) + 1
            self.loads_s += time.monotonic() - begun
            return None, time.monotonic() - begun, failure
        self.bad_starts.pop(setting.key, None)
        took_s = time.monotonic() - begun
        self.loads_s += took_s
        return self.host, took_s, None

    def _last_log(self) -> list[str]:
        """Of the engine that just failed: the newest log."""
        found = sorted(self.log_dir.glob("*.log"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        return logs.tail(found[-1], 12) if found else []

    def stop(self) -> None:
        if self.host is not None:
            self.host.stop()
        self.host = self.setting = None


@contextlib.contextmanager
def session(start: Starter, log_dir: Path) -> Iterator[Session]:
    """Nothing runs when it is over, however it ends."""
    found = Session(start, log_dir)
    try:
        yield found
    finally:
        found.stop()
