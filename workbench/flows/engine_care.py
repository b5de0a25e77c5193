"""Looking after engines: install, check, list, stop, and take away; every result is a plain dictionary."""

import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines import find, install, logs, own, registry
from engines.processes import alive, send
from workbench.errors import Failure, UsageError
from workbench.flows.environments import environments

STOP_S = 30.0


def has_gpu() -> bool:
    """Whether the driver of an NVIDIA GPU is loaded here."""
    return Path("/proc/driver/nvidia/version").is_file()


def install_plan(name: str) -> dict[str, Any]:
    """What `install` would do: packages, bytes, seconds. Raises UsageError."""
    engine = find(name)
    told = asdict(install.plan(engine))
    told["folder"] = told.pop("folder").name
    done = own.installed(name)
    told["installed"] = done.version if done is not None and told["missing"] == 0 else None
    return told


def install_engine(name: str, on_progress: Callable[[int, int], None]) -> dict[str, Any]:
    engine = find(name)
    stamp = install.install(engine, on_progress=on_progress)
    return asdict(stamp) | {"disk_bytes": own.disk_bytes(own.folder(name))}


def uninstall_engine(name: str) -> dict[str, Any]:
    """Raises UsageError where nothing is there, or one of it runs."""
    busy = [entry for entry in registry.running() if entry.engine == name]
    if busy:
        raise UsageError(f"engine {name!r} runs (pid {busy[0].pid}); `workbench engines stop {busy[0].pid}` first")
    return {"engine": name, "freed_bytes": install.uninstall(name)}


def processes() -> dict[str, Any]:
    """What runs now and what lies on the disk."""
    running = [
        {"pid": entry.pid, "engine": entry.engine, "version": entry.version, "model": entry.model, "url": entry.url,
         "started_utc": entry.started_utc, "log": Path(entry.log).name, "memory_bytes": _memory_bytes(entry.keeper)}
        for entry in registry.running()
    ]
    found = environments()
    return {"running": running, "environments": found, "disk_bytes": sum(item["disk_bytes"] for item in found)}


def _memory_bytes(keeper: int) -> int:
    """Resident memory of a keeper and all below it; pages that several share count in each."""
    import psutil

    try:
        tree = [psutil.Process(keeper), *psutil.Process(keeper).children(recursive=True)]
    except psutil.Error:
        return 0
    total = 0
    for process in tree:
        try:
            total += int(process.memory_info().rss)
        except psutil.Error:
            continue
    return total


def stop(which: str | None) -> list[dict[str, Any]]:
    """Stop one engine by pid, all of one name, or all. Pid and start time are checked before a signal."""
    entries = _chosen(which)
    for entry in entries:
        send(entry.keeper_process, signal.SIGTERM)  # it ends the engine and all that it started
    deadline = time.monotonic() + STOP_S
    while any(alive(entry.keeper_process) for entry in entries) and time.monotonic() < deadline:
        time.sleep(0.02)
    left = [entry for entry in entries if alive(entry.keeper_process)]
    if left:
        raise Failure(f"engine {left[0].engine!r} (pid {left[0].pid}) did not end within {STOP_S:g} s")
    registry.running()  # what has ended is forgotten
    return [{"pid": entry.pid, "engine": entry.engine, "model": entry.model} for entry in entries]


def _chosen(which: str | None) -> list[registry.Entry]:
    entries = registry.running()
    if which is None:
        return entries
    chosen = [entry for entry in entries if which in (str(entry.pid), entry.engine)]
    if not chosen:
        known = ", ".join(f"{entry.pid} ({entry.engine})" for entry in entries) or "none runs"
        raise UsageError(f"{which}: no such engine; {known}")
    return chosen


def log_lines(which: str, lines: int) -> list[str]:
    """The last lines of a running engine's log, safe to show."""
    chosen = _chosen(which)
    if len(chosen) > 1:
        raise UsageError(f"{which}: {len(chosen)} of them run; name one by pid: "
                         + ", ".join(str(entry.pid) for entry in chosen))
    return logs.tail(Path(chosen[0].log), lines)
