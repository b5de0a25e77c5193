"""Starting an engine: loopback, a port that is free, a key nobody else has, and one line when it fails."""

import os
import re
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines import contract, own, registry
from engines.common import translate
from engines.environment import child_environment
from engines.lookup import find, require
from engines.record import Engine, Start
from engines.running import Fact, Running
from engines.supervised import Supervised
from workbench import config
from workbench.config import Settings
from workbench.errors import Failure, UsageError
from workbench.paths import shown

if TYPE_CHECKING:
    from workbench.models.shipped import ModelFile

LOOPBACK = "127.0.0.1"
HEALTH_TIMEOUT_S = 30.0
_SOUNDS_BAD = re.compile(r" E |error|fail|cannot|invalid|not found|refused", re.IGNORECASE)
_FOLDERS = frozenset({"safetensors", "onnx"})  # formats in which a model is a folder


def launch(
    engine: str | Engine, model: "ModelFile | Path | None", options: Mapping[str, Any], *, log_dir: Path,
    timeout_s: float | None = None,
) -> Running:
    """Start `engine` on `model` and wait until it answers; use the result in a `with`. With a `url` among the options
    nothing is started: the endpoint is met there.

    Raises UsageError (options, model file), EngineNotAvailable, or Failure with the engine's last words.
    """
    record = find(engine) if isinstance(engine, str) else engine
    asked, neutral = translate(record.name, record.common, options)
    if not record.launches or "url" in asked:
        from engines.openai.connect import meet

        return meet(record, asked, neutral)
    require(record)
    settings = config.validate(record.options, asked, f"options of {record.name}")
    name, path = _model(record, model)
    port = getattr(settings, "port", 0)
    _refuse_taken(port)
    key = secrets.token_urlsafe(24)
    log = _new_log(log_dir, record.name)
    running = Running(record.name, "", name, record.version(), record, api_key=key, log_path=log)
    begun = time.monotonic()
    within_s = timeout_s if timeout_s is not None else record.start_timeout_s
    try:
        if record.argv is not None:
            _start_ours(running, record, _config(name, path, port, key, settings), within_s)
        else:
            _start_theirs(running, record, (str(path) if path else "", port or _free_port(), settings), within_s)
        running.started_s = time.monotonic() - begun
        _write_down(running)
        asked_for = settings.model_dump(exclude={"port"})
        running.facts = facts_of(asked_for | neutral, record, running)
    except BaseException:
        running.stop()
        raise
    return running


def _config(name: str, path: Path | None, port: int, key: str, settings: Settings) -> dict[str, Any]:
    return {
        "model_path": str(path) if path else None, "model_name": name, "host": LOOPBACK, "port": port,
        "api_key": key, "options": settings.model_dump(mode="json"),
    }


def _model(record: Engine, model: "ModelFile | Path | None") -> tuple[str, Path | None]:
    if model is None:
        if record.needs_model:
            raise UsageError(f"engine {record.name!r} needs a model file ({', '.join(record.formats)}); give --model")
        return record.name, None
    name, path = (model.stem, model) if isinstance(model, Path) else (model.name, model.path)
    folders = bool(_FOLDERS & set(record.formats))
    if path.exists() and path.is_dir() != folders:
        wanted = f"a folder with {record.formats[0]}" if folders else f"a {record.formats[0]} file"
        raise UsageError(f"{path.name}: engine {record.name!r} reads {wanted}")
    if not path.exists():
        raise UsageError(f"{path}: no such model file; `workbench models list` names what ships")
    return name, path.resolve()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


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


def _start_ours(running: Running, record: Engine, given: dict[str, Any], timeout_s: float) -> None:
    """A server of ours reads its configuration and says itself where it listens."""
    assert record.argv is not None
    assert running.log_path is not None
    apart = record.environment is not None
    program = str(own.python(record.name)) if apart else sys.executable
    with tempfile.TemporaryDirectory(prefix="workbench-engine-") as private:  # 0700
        argv = (program, *record.argv(contract.write_config(Path(private), given)))
        scratch = _scratch() if apart else None
        env = {**child_environment(ours=not apart), **({"TMPDIR": str(scratch)} if scratch else {})}
        running.process = Supervised(argv, env, running.log_path.parent, running.log_path, scratch)
        with _blamed(running):
            url = running.process.wait_ready(timeout_s)
            if url is None:
                raise Failure(f"was not ready within {timeout_s:g} s")
    running.url = url
    with _blamed(running):
        _wait_health(running, record, time.monotonic() + HEALTH_TIMEOUT_S)


def _start_theirs(running: Running, record: Engine, given: tuple[str, int, Settings], timeout_s: float) -> None:
    """An engine's own server says nothing: it is asked until it answers."""
    assert record.command is not None
    assert running.log_path is not None
    assert running.api_key is not None
    model, port, settings = given
    deadline = time.monotonic() + timeout_s
    with tempfile.TemporaryDirectory(prefix="workbench-engine-") as private:  # 0700
        start = Start(model, running.model_name, LOOPBACK, port, running.api_key, settings, Path(private))
        command = record.command(start)
        program = command.program or (str(own.python(record.name)) if record.environment else sys.executable)
        scratch = _scratch()
        env = {**child_environment(ours=False), "TMPDIR": str(scratch), **command.env}
        argv = (program, *command.arguments)
        running.process = Supervised(argv, env, running.log_path.parent, running.log_path, scratch)
        running.url = f"http://{LOOPBACK}:{port}"
        with _blamed(running):
            while running.process.engine is None and time.monotonic() < deadline:
                running.process.wait_ready(0.05)
            _wait_health(running, record, deadline)


@contextmanager
def _blamed(running: Running) -> Iterator[None]:
    """What goes wrong while it starts is told with the engine's name before it and its last words behind."""
    try:
        yield
    except Failure as error:
        raise Failure(f"engine {running.engine!r} {error}{_last_words(running)}") from None


def _scratch() -> Path:
    """A folder for what an engine leaves in its TMPDIR; its keeper removes it. A short name: sockets lie in it."""
    return Path(tempfile.mkdtemp(prefix="wb-"))


def _wait_health(running: Running, record: Engine, deadline: float) -> None:
    assert running.process is not None
    while running.get_text(record.health_path) is None:
        running.process.wait_ready(0.05)  # a Failure when it has ended
        if time.monotonic() > deadline:
            raise Failure(f"does not answer {record.health_path}")


def _write_down(running: Running) -> None:
    """So that `workbench engines ps` finds it."""
    process, log = running.process, running.log_path
    assert process is not None
    assert log is not None
    if process.engine is not None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        running.noted = registry.note(running.engine, running.model_name, running.version, running.url, log,
                                      process.engine, process.keeper_pid, now)


def _last_words(running: Running) -> str:
    """Of the last lines those that sound like an error (the first names the cause, the last the end), else the last."""
    recent = running.log_tail(40)
    words = [line for line in recent if _SOUNDS_BAD.search(line)] or recent[-3:]
    words = words if len(words) <= 3 else [words[0], *words[-2:]]
    return f"; its last words: {' | '.join(words)}" if words else "; it wrote nothing"


def facts_of(asked: Mapping[str, Any], record: Engine, running: Running) -> dict[str, Fact]:
    """Every option as asked, beside what the engine says; what it says unasked too."""
    seen = record.see(running)
    plain = {name: _plain(value) for name, value in asked.items()}
    facts = {"engine_file": Fact(record.source, None, None)} if record.source else {}
    for name in dict.fromkeys((*plain, *seen)):
        value, via = seen.get(name, (None, None))
        facts[name] = Fact(plain.get(name), value, via)
    return facts


def _plain(value: Any) -> Any:
    """As provenance may hold it: no path of this machine."""
    if isinstance(value, Path):
        return shown(value)
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
