"""How a run came about: code, machine, configuration, engine, model, seeds. No host name, user or path."""

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

from workbench import __version__
from workbench.paths import root
from workbench.redact import redact
from workbench.runlog.schema import SCHEMA

PACKAGES = ("simpy", "numpy", "scipy", "pyarrow", "xllamacpp", "uvloop", "httptools", "orjson", "gguf")


@dataclass(frozen=True, slots=True)
class Machine:
    """What ran it, in words that identify no one."""

    cpu: str
    cores: int
    ram_gib: float
    os: str

    @staticmethod
    @cache
    def here() -> "Machine":
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return Machine(_cpu_name(), os.cpu_count() or 1, round(pages / 2**30, 1), _os_name())


@dataclass(frozen=True, slots=True)
class Provenance:
    """Everything needed to say where a run's numbers come from."""

    world: Literal["real", "simulated"]
    started_at_utc: str
    engine: str = ""
    engine_facts: dict[str, Any] = field(default_factory=dict)  # option -> {asked, seen, seen_via}
    model: str = ""
    quant: str = ""
    kv_type: str = ""
    weights_id: str = ""
    grown_from: str = ""
    gpu: str = ""
    driver: str = ""
    profile_sha256: str = ""
    profile_source: str = ""
    price_usd_per_hour: float | None = None
    seeds: dict[str, int] = field(default_factory=dict)
    workload: dict[str, Any] = field(default_factory=dict)
    client: dict[str, Any] = field(default_factory=dict)  # the load generator's judgement of itself
    config_text: str = ""
    config_sha256: str = ""
    git_commit: str = ""
    git_dirty: bool | None = None
    workbench: str = __version__
    python: str = platform.python_version()
    packages: dict[str, str] = field(default_factory=dict)
    machine: Machine | None = None
    schema: int = SCHEMA

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> "Provenance":
        """Tolerant of fields that a later minor version added; the schema number guards the rest."""
        known = {item.name for item in fields(Provenance)}
        values = {key: value for key, value in raw.items() if key in known}
        if isinstance(values.get("machine"), Mapping):
            values["machine"] = Machine(**values["machine"])
        return Provenance(**values)


def collect(world: Literal["real", "simulated"], *, config_text: str = "", **given: Any) -> Provenance:
    """Provenance of a run that starts now, on this machine, with this code."""
    commit, dirty = _git()
    clean = redact(config_text)
    return Provenance(
        world=world, started_at_utc=now_utc(), config_text=clean,
        config_sha256=hashlib.sha256(clean.encode()).hexdigest() if clean else "",
        git_commit=commit, git_dirty=dirty, packages=_packages(), machine=Machine.here(), **given,
    )


def now_utc() -> str:
    """The wall clock, once per run; everything else is on the run's monotonic clock."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@cache
def _git() -> tuple[str, bool | None]:
    top = root()
    if top is None or not (top / ".git").exists():
        return "", None
    try:
        commit = _run_git("rev-parse", "HEAD")
        return commit, bool(_run_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return "", None


def _run_git(*words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=root(), capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()


@cache
def _packages() -> dict[str, str]:
    from importlib import metadata  # 2 MiB, which a worker does not need

    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()
