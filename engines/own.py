"""Environments of engines that cannot live beside the workbench: where they are, what is in them, what they weigh."""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from workbench import paths
from workbench.errors import UsageError

STAMP = "INSTALLED.json"  # written last: a folder without it is unfinished
LOCKS = Path(__file__).resolve().parent / "locks"


@dataclass(frozen=True, slots=True)
class Environment:
    """How an environment is built. Size and time as measured once on 2 cores, to be said before; 0: not measured."""

    lock: str  # file below engines/locks; "" where nobody could make one
    python: tuple[str, ...]  # versions that the lock was made for
    disk_bytes: int = 0
    install_s: int = 0
    source_builds: tuple[str, ...] = ()  # distributions that come as source only
    alias: tuple[str, str] | None = None  # a distribution that the engine looks itself up by: (name, version)
    index: str = ""  # where wheels are that PyPI does not have
    gpu: str = ""  # what it cannot run without

    @property
    def lock_path(self) -> Path:
        return LOCKS / self.lock

    @property
    def download_bytes(self) -> int:
        """As the lock's head says; 0 where it does not."""
        with self.lock_path.open(encoding="utf-8") as handle:
            head = "".join(line for line, _ in zip(handle, range(8), strict=False) if line.startswith("#"))
        hit = re.search(r"^# Download: (\d+) bytes", head, re.MULTILINE)
        return int(hit[1]) if hit else 0


@dataclass(frozen=True, slots=True)
class Installed:
    """What the stamp of a finished environment says."""

    name: str
    version: str
    lock_sha256: str
    python: str
    packages: int
    seconds: float

    def write(self, folder: Path) -> None:
        from workbench.files import write_json

        write_json(folder / STAMP, asdict(self))


def root() -> Path:
    return paths.environments()


def folder(name: str) -> Path:
    """The folder of one environment; a name that leads elsewhere is refused."""
    if not name or name in (".", "..") or "/" in name or "\\" in name:
        raise UsageError(f"engine {name!r}: no name of an environment")
    return root() / name


def python(name: str) -> Path:
    return folder(name) / "bin" / "python"


def installed(name: str) -> Installed | None:
    """The stamp of a finished environment, or None; a damaged stamp counts as none."""
    try:
        value = json.loads((folder(name) / STAMP).read_text(encoding="utf-8"))
        found = Installed(**value)
    except (OSError, ValueError, TypeError):
        return None
    return found if python(name).exists() else None


def disk_bytes(path: Path) -> int:
    """Bytes of all files below; links are not followed."""
    total = 0
    for top, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(os.path.join(top, name)).st_size
            except OSError:
                continue
    return total
