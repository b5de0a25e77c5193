"""The parent's side of the supervisor: start one, hear it, end it."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engines import supervisor
from engines.processes import Ident, alive, ident, send
from workbench.errors import Failure

PLAIN = ("-I", "-S")  # no site, no environment: it starts in 20 ms and runs nobody else's code
GRACE_S = 5.0  # from the request to stop to the kill


class Supervised:
    """One engine process under its keeper. `stop` may be called more than once."""

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path, scratch: Path | None = None
    ) -> None:
        self._keeper = subprocess.Popen(
            [sys.executable, *PLAIN, supervisor.__file__, str(os.getpid())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=dict(env), start_new_session=True,  # Ctrl-C in the terminal is the parent's to handle
        )
        self._heard = b""
        self.scratch = scratch
        self.engine: Ident | None = None
        self.exit_code: int | None = None
        order = {"argv": list(argv), "env": dict(env), "cwd": str(cwd), "log": str(log), "grace_s": GRACE_S,
                 "scratch": str(scratch) if scratch is not None else ""}
        assert self._keeper.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._keeper.stdin.write(json.dumps(order).encode() + b"\n")
            self._keeper.stdin.flush()

    def wait_ready(self, timeout_s: float) -> str | None:
        """The address that the engine announces; None when the time is over; Failure when it ended first."""
        deadline = time.monotonic() + timeout_s
        while (message := self._hear(deadline)) is not None:
            if "pid" in message:
                self.engine = ident(message["pid"])
            elif "ready" in message:
                return str(message["ready"])
            elif "exit" in message:
                self.exit_code = message["exit"]
                raise Failure(f"ended at start ({_code_in_words(self.exit_code)})")
            else:
                raise Failure(f"could not be started: {message.get('failed', 'its supervisor ended')}")
        return None

    def _hear(self, deadline: float) -> dict[str, Any] | None:
        assert self._keeper.stdout is not None
        stream = self._keeper.stdout.fileno()
        while b"\n" not in self._heard:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([stream], [], [], left_s)[0]:
                return None
            piece = os.read(stream, 65536)
            if not piece:
                return {}
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    @property
    def keeper_pid(self) -> int:
        return self._keeper.pid

    def alive(self) -> bool:
        return self.engine is not None and alive(self.engine)

    def stop(self) -> None:
        """End the engine and everything it started; returns when they are gone."""
        keeper = self._keeper
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        with contextlib.suppress(OSError):
            keeper.stdin.close()
        try:
            keeper.wait(GRACE_S + supervisor.KILL_S + 5)
        except subprocess.TimeoutExpired:
            if self.engine is not None:
                send(self.engine, signal.SIGKILL)
            keeper.kill()
            keeper.wait(5)
        keeper.stdout.close()


def _code_in_words(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"signal {-code}"
