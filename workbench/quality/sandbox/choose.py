"""Which sandbox can be had here: each is tried with a program that tries to get out."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workbench.errors import Failure
from workbench.quality.sandbox.limits import Limits
from workbench.quality.sandbox.run import Job, run_in_backend

ORDER = ("bubblewrap", "other uid", "own uid")
UNSAFE = "unsafe"  # limits only: a backend that is no sandbox
REMEDIES = {
    "bubblewrap": "apt-get install bubblewrap, and allow user namespaces: sysctl -w "
                  "kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 24.04 and later deny them by default)",
    "other uid": "run as root on Linux 6.2 or later with Landlock",
    "own uid": "run as an ordinary user on Linux 6.2 or later with Landlock",
}
_ESCAPE = """
import os, socket

def refused(what, *arguments):
    try:
        what(*arguments)
    except OSError:
        return True
    return False
"""
_ESCAPED = """
assert refused(open, {secret!r}), "a file of the host can be read"
assert refused(open, {secret!r}, "a"), "a file of the host can be written"
assert refused(socket.create_connection, ("127.0.0.1", 9)) and refused(socket.socket), "sockets can be made"
assert refused(os.fork), "processes can be started"
assert refused(os.kill, 1, 9), "signals can be sent"
assert not set(os.environ) - {{"PWD", "LC_CTYPE"}}, "there is an environment"
"""


@dataclass(frozen=True, slots=True)
class Found:
    """One backend: `lack` is empty where it holds. `python` is the version that it runs."""

    backend: str
    lack: str
    python: str = ""

    @property
    def remedy(self) -> str:
        return REMEDIES[self.backend] if self.lack else ""


@cache
def examine() -> tuple[Found, ...]:
    """Every backend tried, best first. Kept for the life of the process."""
    return tuple(_tried(backend) for backend in ORDER)


def _tried(backend: str) -> Found:
    """A file that all may read, in a folder that all may enter: only the sandbox stands before it."""
    with tempfile.TemporaryDirectory(prefix="sandbox-probe-") as folder:
        Path(folder).chmod(0o755)
        secret = Path(folder) / "secret"
        secret.write_text("secret")
        secret.chmod(0o666)
        try:
            verdict = run_in_backend(Job(_ESCAPE, _ESCAPED.format(secret=str(secret))), Limits(), backend)
        except Failure as failure:
            return Found(backend, str(failure))
    held = verdict.outcome == "passed"
    return Found(backend, "" if held else f"it does not hold: {verdict.reason}", verdict.python)


def choose(*, unsafe: bool = False, looks: Callable[[], Sequence[Found]] = examine) -> str:
    """The best backend that holds here. Without one: refuses, or takes `unsafe` when told so."""
    tried = looks()
    for found in tried:
        if not found.lack:
            return found.backend
    if unsafe:
        return UNSAFE
    told = "; ".join(f"{found.backend}: {found.lack}" for found in tried)
    raise Failure(f"generated code is not run: no sandbox can be had here ({told}). "
                  f"Remedy: {REMEDIES['bubblewrap']}; or --unsafe to run it without one")
