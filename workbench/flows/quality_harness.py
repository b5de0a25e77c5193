"""Where lm-eval lives: in an environment of its own (160 MB to fetch, 0.76 GB on disk), or beside us ([quality])."""

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines import own
from engines.environment import child_environment
from engines.install import install as build
from engines.record import Engine
from workbench.errors import Failure, UsageError
from workbench.quality.chat import ChatTemplate
from workbench.quality.harness.parent import UNSAFE_VARIABLE, Harness
from workbench.quality.task_spec import TaskSpec

NAME = "lm-eval"
# no engine, but an environment of the same kind: a lock with hashes, a stamp, wheels by pip
RECORD = Engine(
    name=NAME, title="lm-eval, the harness", place="own environment", get="workbench quality install",
    distribution="lm-eval",
    environment=own.Environment(
        "lm-eval.txt", ("3.11",), 765_000_000, 60, source_builds=("rouge-score", "sqlitedict", "word2number"),
    ),
)


def interpreter() -> Path:
    """The Python that has lm-eval. Raises Failure naming the remedy."""
    if own.installed(NAME) is not None:
        return own.python(NAME)
    if importlib.util.find_spec("lm_eval") is not None:
        return Path(sys.executable)
    raise Failure("lm-eval is not installed here: workbench quality install (or pip install "
                  "'inference-workbench[quality]')")


def harness(template: ChatTemplate | None, *, hub: bool, unsafe: bool = False) -> Harness:
    """`hub`: data sets may be fetched; else what is not in a file or in the hub's cache is refused. `unsafe`: its code
    tasks may run programs without a sandbox where none can be had."""
    online = {"HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"} if hub else {"HF_DATASETS_OFFLINE": "1"}
    allowed = {UNSAFE_VARIABLE: "1"} if unsafe else {}
    return Harness(interpreter(), child_environment(ours=False) | online | allowed, template)


def install(on_progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Build the environment, or what is left of it to build."""
    done = build(RECORD, on_progress=on_progress)
    return asdict(done) | {"disk_bytes": own.disk_bytes(own.folder(NAME))}


def refuse_code(spec: TaskSpec, *, allow_code: bool) -> None:
    """A YAML of the user's may name functions, which lm-eval runs: only when the command line says so."""
    if not spec.include or allow_code:
        return
    folder = Path(spec.include)
    if not folder.is_dir():
        raise UsageError(f"task {spec.name}: include: {spec.include}: no such folder")
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".py" and b"!function" in path.read_bytes()[:1_000_000]:
            raise UsageError(f"task {spec.name}: include: {path.name} names a !function, which would be run; look at "
                             "it, then give --allow-code")
