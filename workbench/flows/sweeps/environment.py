"""What a sweep ran on: OS, processor, GPUs, driver, the engine's packages; no host name, user or path."""

import platform
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines import own
from engines.record import Engine
from workbench import __version__
from workbench.bench.telemetry_gpu import describe_gpus
from workbench.files import read_json
from workbench.flows.sweeps.spec import Price
from workbench.runlog.provenance import Machine, collect

ENVIRONMENTS = "environments"  # folder of a sweep
_DRIVER = Path("/proc/driver/nvidia/version")


def machine_facts(price: Price) -> dict[str, Any]:
    """Of the machine as a whole; what cannot be known here is null."""
    gpus = describe_gpus()
    return {
        **asdict(Machine.here()), "kernel": platform.release(), "python": platform.python_version(),
        "gpus": gpus["gpus"], "gpu_why_not": gpus["why_not"], "driver": gpus["driver"] or _driver(),
        "cuda": gpus["cuda"], "provider": price.provider or None, "region": price.region or None,
        "price_usd_per_hour": price.usd_per_hour, "price_origin": "given" if price.usd_per_hour is not None else None,
    }


def machines(folder: Path) -> dict[str, str]:
    """What a sweep in `folder` ran on, in words, by the name of the environment's file."""
    found = {}
    for path in sorted((folder / ENVIRONMENTS).glob("*.json")):
        facts = read_json(path)
        where = gpu_words(facts) if facts.get("gpus") else ""
        found[path.name] = ", ".join(part for part in (
            where, facts["cpu"], f"{facts['cores']} cores", f"{facts['ram_gib']:.0f} GiB", facts["os"]) if part)
    return found


def gpu_words(facts: dict[str, Any]) -> str:
    """Such as `2 x NVIDIA H100 80GB HBM3`; empty without one."""
    names = [gpu["name"] for gpu in facts["gpus"]]
    return "; ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names))


def engine_packages(engine: Engine) -> dict[str, str]:
    """Name and version of what lies in an engine's own environment; of one beside us, what provenance lists."""
    if engine.environment is None:
        return dict(collect("real").packages)
    found = {}
    for path in sorted(own.folder(engine.name).glob("**/site-packages/*.dist-info")):
        name, _, version = path.name.removesuffix(".dist-info").rpartition("-")
        if name:
            found[name.lower().replace("_", "-")] = version
    return found


def client_version() -> str:
    """What decides how the load generator measures."""
    packages = collect("real").packages
    parts = [f"{name} {packages[name]}" for name in ("uvloop", "httptools", "orjson") if name in packages]
    return ", ".join([f"workbench {__version__}", *parts])


def _driver() -> str | None:
    try:
        text = _DRIVER.read_text(encoding="utf-8")
    except OSError:
        return None
    hit = re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", text)
    return hit[1] if hit else None
