"""Starting an engine: loopback, a port that is free, a key nobody else has, and one line when it fails."""

import os
import re
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines import contract
from engines.environment import child_environment
from engines.lookup import find, require
from engines.record import Engine
from engines.running import Fact, Running
from engines.supervised import Supervised
from workbench import config
from workbench.config import Settings
from workbench.errors import Failure, UsageError
from workbench.paths import shown

if TYPE_CHECKING:
    from workbench.models.shipped import ModelFile

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 120.0
HEALTH_TIMEOUT_S = 30.0
_SOUNDS_BAD = re.compile(r" E |error|fail|cannot|invalid|not found|refused", re.IGNORECASE)


def launch(
    engine: str, model: "ModelFile | Path | None", options: Mapping[str, Any], *, log_dir: Path,
    timeout_s: float = START_TIMEOUT_S,
) -> Running:
    """Start `engine` on `model` and wait until it answers; use the result in a `with`.

    Raises UsageError (options, model file), EngineNotAvailable, or Failure with the engine's last words.
    """
    record = require(find(engine))
    settings = config.validate(record.options, options, f"options of {engine}")
    if record.argv is None:
        from engines.openai.connect import connect

        return connect(record, settings)
    name, path = _model(record, model)
    port = getattr(settings, "port", 0)
    _refuse_taken(port)
    key = secrets.token_urlsafe(24)
    given = {
        "model_path": str(path) if path else None, "model_name": name, "host": LOOPBACK, "port": port,
        "api_key": key, "options": settings.model_dump(mode="json"),
    }
    log = _new_log(log_dir, engine)
    running = Running(engine, "", name, record.version(), record, api_key=key, log_path=log)
    try:
        _start(running, record, given, timeout_s)
        running.facts = _facts(record, settings, running)
    except BaseException:
        running.stop()
        raise
    return running


def _model(record: Engine, model: "ModelFile | Path | None") -> tuple[str, Path | None]:
    if model is None:
        if record.needs_model:
            raise UsageError(f"engine {record.name!r} needs a model file ({', '.join(record.formats)}); give --model")
        return record.name, None
    name, path = (model.stem, model) if isinstance(model, Path) else (model.name, model.path)
    if not path.is_file():
        raise UsageError(f"{path}: no such model file; `workbench models list` names what ships")
    return name, path.resolve()


def _refuse_taken(port: int) -> None:
    if not port:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            why = error.strerror or error
            raise Failure(f"port {port}: {why}; leave `port` out and a free one is taken") from error


def _new_log(folder: Path, engine: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f"{engine}-", suffix=".log", dir=folder)  # 0600
    except OSError as error:
        raise Failure(f"{folder}: no log can be written there: {error.strerror or error}") from error
    os.close(descriptor)
    return Path(name)


def _start(running: Running, record: Engine, given: dict[str, Any], timeout_s: float) -> None:
    assert record.argv is not None
    assert running.log_path is not None
    with tempfile.TemporaryDirectory(prefix="workbench-engine-") as private:  # 0700
        path = contract.write_config(Path(private), given)
        argv = (sys.executable, *record.argv(path))
        running.process = Supervised(argv, child_environment(), running.log_path.parent, running.log_path)
        try:
            url = running.process.wait_ready(timeout_s)
        except Failure as error:
            raise Failure(f"engine {running.engine!r} {error}{_last_words(running)}") from None
    if url is None:
        raise Failure(f"engine {running.engine!r} was not ready within {timeout_s:g} s{_last_words(running)}")
    running.url = url
    deadline = time.monotonic() + HEALTH_TIMEOUT_S
    while running.get_text(record.health_path) is None:
        if not running.alive() or time.monotonic() > deadline:
            raise Failure(f"engine {running.engine!r} does not answer {record.health_path}{_last_words(running)}")
        time.sleep(0.05)


def _last_words(running: Running) -> str:
    """Of the last lines those that sound like an error (the first names the cause, the last the end), else the last."""
    recent = running.log_tail(40)
    words = [line for line in recent if _SOUNDS_BAD.search(line)] or recent[-3:]
    words = words if len(words) <= 3 else [words[0], *words[-2:]]
    return f"; its last words: {' | '.join(words)}" if words else "; it wrote nothing"


def _facts(record: Engine, settings: Settings, running: Running) -> dict[str, Fact]:
    """Every option as asked, beside what the engine says; what it says unasked too."""
    seen = record.see(running)
    options = settings.model_dump(exclude={"port"})
    asked = {name: shown(value) if isinstance(value, Path) else value for name, value in options.items()}
    facts = {}
    for name in dict.fromkeys((*asked, *seen)):
        value, via = seen.get(name, (None, None))
        facts[name] = Fact(asked.get(name), value, via)
    return facts
