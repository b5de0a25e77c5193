"""What this machine and this installation can do: each finding with its remedy."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any, Literal

from workbench import __version__, paths
from workbench.flows.engines import list_engines
from workbench.flows.noise import measure
from workbench.quality.sandbox import Found
from workbench.quality.sandbox import examine as examine_sandboxes
from workbench.runlog.provenance import Machine

Verdict = Literal["ok", "missing", "warning", "failed"]  # missing: optional and not here; failed: nothing works without
OLDEST, NEWEST = (3, 11), (3, 13)
LEAST_RAM_GIB, LEAST_DISK_GIB = 4.0, 2.0
EXTRAS = {  # extra -> the distribution that shows it
    "silicon": "aiconfigurator-core", "quality": "lm-eval", "hf": "transformers", "llama-cpp": "llama-cpp-python",
    "onnx": "onnxruntime-genai", "distributed": "ray", "gateway": "redis", "billing": "duckdb",
    "spreadsheet": "openpyxl", "forecast": "statsmodels",
}
BASE = (
    "simpy", "numpy", "pandas", "pyarrow", "scipy", "pydantic", "click", "rich", "matplotlib", "plotly", "jupyterlab",
    "papermill", "jupytext", "nbconvert", "mistune", "httpx", "uvloop", "httptools", "orjson", "xllamacpp", "gguf",
    "safetensors", "tokenizers", "psutil", "pyyaml", "jinja2", "ipywidgets",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `remedy` is empty where nothing needs doing."""

    group: str
    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


def examine() -> dict[str, Any]:
    """Everything that `workbench doctor` tells; `ok` is False when something failed."""
    looks = (_python, _machine, _packages, _extras, _engines, _tools, _data)
    findings = [finding for look in looks for finding in look()]
    return {"workbench": __version__, "ok": not any(item.verdict == "failed" for item in findings),
            "findings": [asdict(item) for item in findings]}


def _judge(good: bool, otherwise: Verdict, remedy: str) -> tuple[Verdict, str]:
    return ("ok", "") if good else (otherwise, remedy)


def _python() -> Iterator[Finding]:
    here = sys.version_info[:2]
    verdict, remedy = _judge(OLDEST <= here <= NEWEST, "failed", "use Python 3.11, 3.12 or 3.13")
    yield Finding("system", "Python", verdict, platform.python_version(), remedy)
    linux = platform.system() == "Linux" and platform.machine() == "x86_64"
    verdict, remedy = _judge(linux, "failed", "the workbench is built for Linux on x86-64")
    yield Finding("system", "OS", verdict, f"{Machine.here().os}, {platform.machine()}", remedy)


def _machine() -> Iterator[Finding]:
    import psutil

    usable = len(os.sched_getaffinity(0))
    machine = Machine.here()
    verdict, remedy = _judge(usable >= 2, "warning", "one core for engine and client together: expect noise")
    yield Finding("system", "cores", verdict, f"{usable} usable of {machine.cores} ({machine.cpu})", remedy)
    free_gib = psutil.virtual_memory().available / 2**30
    verdict, remedy = _judge(free_gib >= LEAST_RAM_GIB, "warning", f"free {LEAST_RAM_GIB:g} GiB, or use smaller models")
    yield Finding("system", "memory", verdict, f"{free_gib:.1f} GiB free of {machine.ram_gib:g}", remedy)
    disk_gib = shutil.disk_usage(paths.cache()).free / 2**30
    verdict, remedy = _judge(disk_gib >= LEAST_DISK_GIB, "warning", "free some space, or set XDG_CACHE_HOME elsewhere")
    yield Finding("system", "cache disk", verdict, f"{disk_gib:.1f} GiB free", remedy)
    noise = measure()
    verdict, remedy = _judge(noise.quiet, "warning", "stop other work before measuring, or take more repeats")
    told = f"equal work varies by {noise.spread_frac:.0%} (p95 over median), {noise.waited_frac:.0%} of time not run"
    yield Finding("system", "noise", verdict, told, remedy)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _packages() -> Iterator[Finding]:
    absent = [name for name in BASE if _version(name) is None]
    verdict, remedy = _judge(not absent, "failed", f"pip install {' '.join(absent)}")
    yield Finding("packages", "base", verdict, f"{len(BASE) - len(absent)} of {len(BASE)}", remedy)


def _extras() -> Iterator[Finding]:
    for extra, distribution in EXTRAS.items():
        version = _version(distribution)
        verdict, remedy = _judge(version is not None, "missing", f"pip install 'inference-workbench[{extra}]'")
        yield Finding("extras", extra, verdict, f"{distribution} {version}" if version else "not installed", remedy)


def _engines() -> Iterator[Finding]:
    yield _loads("xllamacpp")
    for item in list_engines():
        verdict, remedy = _judge(item["installed"], "missing", item["get"])
        found = item["version"] or "an endpoint of yours" if item["installed"] else "not installed here"
        yield Finding("engines", item["name"], verdict, found, remedy)


def _loads(module: str) -> Finding:
    """A wheel may lie there and not run on this processor: try it in a process that may die."""
    words = [sys.executable, "-c", f"import {module}"]
    try:
        code = subprocess.run(words, capture_output=True, timeout=60, check=False).returncode
    except (OSError, subprocess.SubprocessError):
        code = -1
    remedy = f"pip install --force-reinstall {module}; if that does not help, its wheel does not fit this processor"
    verdict, remedy = _judge(code == 0, "failed", remedy)
    return Finding("engines", f"{module} loads", verdict, "yes" if code == 0 else f"no (exit code {code})", remedy)


def _tools() -> Iterator[Finding]:
    for name, use in {"git": "provenance names the commit", "redis-server": "limits shared between gateways"}.items():
        verdict, remedy = _judge(shutil.which(name) is not None, "missing", f"apt-get install {name} ({use})")
        yield Finding("tools", name, verdict, "found" if verdict == "ok" else "not found", remedy)
    yield from _sandbox()


def _sandbox(looks: Callable[[], Sequence[Found]] = examine_sandboxes) -> Iterator[Finding]:
    """Whether generated code can be run here, and how: a program inside each has tried to get out."""
    found = looks()
    used = next((item for item in found if not item.lack), None)
    told = "; ".join(f"{item.backend}: {item.lack}" for item in found if item.lack)
    if used is None:
        yield Finding("tools", "sandbox", "warning", f"none, so generated code is not run ({told})", found[0].remedy)
        return
    verdict, remedy = _judge(used is found[0], "warning", f"{found[0].remedy}: it holds in more ways")
    name = f"{used.backend}, Python {used.python}"
    yield Finding("tools", "sandbox", verdict, name if verdict == "ok" else f"{name} ({told})", remedy)


def _data() -> Iterator[Finding]:
    folder = paths.public_data()
    given = os.environ.get("WORKBENCH_DATA", "")
    verdict, remedy = _judge(folder is not None, "missing", "set WORKBENCH_DATA to the folder of public data (docs)")
    found = "found" if folder else ("WORKBENCH_DATA names no folder" if given else "WORKBENCH_DATA is not set")
    yield Finding("data", "public data", verdict, found, remedy)
