"""Which engines of ours run now: a small file each, without the key, gone when the engine is."""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.processes import Ident, alive, ident
from workbench import paths
from workbench.files import write_json


@dataclass(frozen=True, slots=True)
class Entry:
    """One running engine. The keeper ends it with everything it started when asked to end itself."""

    engine: str
    model: str
    version: str | None
    url: str
    log: str
    pid: int
    pid_ticks: int
    keeper: int
    keeper_ticks: int
    started_utc: str

    @property
    def process(self) -> Ident:
        return Ident(self.pid, self.pid_ticks)

    @property
    def keeper_process(self) -> Ident:
        return Ident(self.keeper, self.keeper_ticks)


def folder() -> Path:
    return paths.cache() / "engines" / "running"


def _path(entry: Entry) -> Path:
    return folder() / f"{entry.keeper}-{entry.keeper_ticks}.json"


def note(engine: str, model: str, version: str | None, url: str, log: Path, process: Ident, keeper: int,
         started_utc: str) -> Path | None:
    """Write an engine down; where, or None where its keeper is gone already."""
    kept = ident(keeper)
    if kept is None:
        return None
    entry = Entry(engine, model, version, url, str(log.resolve()), process.pid, process.started_ticks, keeper,
                  kept.started_ticks, started_utc)
    path = _path(entry)
    write_json(path, asdict(entry))
    return path


def forget(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def running() -> list[Entry]:
    """Those that run, by their start; what is left of the dead is removed."""
    found = []
    for path in sorted(folder().glob("*.json")) if folder().is_dir() else []:
        try:
            entry = Entry(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue  # being written, or of another version
        if alive(entry.keeper_process):
            found.append(entry)
        else:
            path.unlink(missing_ok=True)
    return sorted(found, key=lambda entry: (entry.started_utc, entry.keeper))
