"""A script in a method's own environment: under a keeper that ends it with us, its progress read from its log."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engines import logs, own
from engines.environment import child_environment
from engines.supervised import Supervised
from workbench.errors import Failure
from workbench.files import read_json, write_json
from workbench.models.quantise.children import main as children
from workbench.models.quantise.children.common import MARK

OnStage = Callable[[str], None]
POLL_S = 0.5
LOG = "log.txt"


def run(environment: str, child: str, order: Mapping[str, Any], folder: Path, *, env: Mapping[str, str] | None = None,
        on_stage: OnStage = lambda _stage: None) -> dict[str, Any]:
    """Run it to its end in `folder`, which holds its order, log and result. Failure with its last words."""
    folder = folder.resolve()
    result, log = folder / f"{child}.result.json", folder / LOG
    result.unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    os.close(os.open(log, os.O_CREAT | os.O_WRONLY, 0o600))
    write_json(folder / f"{child}.order.json", {**order, "result": str(result)})
    argv = (str(own.python(environment)), "-P", "-B", children.__file__, child, str(folder / f"{child}.order.json"))
    process = Supervised(argv, {**child_environment(ours=False), **(env or {})}, folder, log)
    told = ""
    try:
        while _runs(process):
            stage = _stage(logs.tail(log, 200))
            if stage != told:
                told = stage
                on_stage(stage)
    finally:
        process.stop()
    if not result.is_file():
        raise Failure(f"{environment}: {child} failed while {told or 'starting'}: {_last_words(log)}")
    found: dict[str, Any] = read_json(result)
    return found


def _runs(process: Supervised) -> bool:
    """Whether it still runs, after a moment; a keeper says when its child has ended."""
    try:
        process.wait_ready(POLL_S)
    except Failure:
        return False
    return True


def _stage(lines: list[str]) -> str:
    for line in reversed(lines):
        if line.startswith(MARK):
            found = json.loads(line.removeprefix(MARK))
            return f"{found['stage']} {found['done']}/{found['total']}" if found["total"] else str(found["stage"])
    return ""


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in logs.tail(log, 60) if line.strip() and not line.startswith(MARK)]
    return " | ".join(lines[-2:])[-400:] or "it wrote nothing"
