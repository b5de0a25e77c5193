"""A host with something to lose, and a look afterwards at whether it lost it. Standard library only: it also runs as
another user with the system's Python: `python -m tests.quality.sandbox_stage BACKEND`, JSON out."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.quality.sandbox_attacks import ATTACKS, LIMITS, PRELUDE, QUICK, SEVERAL, TESTS, WITH_PROCESSES
from workbench.quality.sandbox.backends import BACKENDS
from workbench.quality.sandbox.child import run_in
from workbench.quality.sandbox.limits import Limits
from workbench.quality.sandbox.verdict import judge

NONCE = "a nonce that is never on a command line"


class Stage:
    """`base` is an empty folder that every uid may enter."""

    def __init__(self, base: Path) -> None:
        self.home, self.temporary = base / "home", base / "tmp"
        for folder in (self.home, self.temporary):
            folder.mkdir()
            folder.chmod(0o777)
        self.secret = self.home / "secret"
        self.secret.write_text("s3cret")
        self.secret.chmod(0o666)
        tempfile.tempdir = str(self.temporary)  # where the sandbox puts its own folders
        os.environ["WORKBENCH_SECRET"] = "s3cret"
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(self.home / "socket"))
        os.chmod(self.home / "socket", 0o777)
        self.unix.listen()
        self.victim = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        self.before = self._seen()

    def close(self) -> None:
        self.tcp.close()
        self.unix.close()
        self.victim.communicate()
        tempfile.tempdir = None
        del os.environ["WORKBENCH_SECRET"]

    def attack(self, program: str, limits: Limits, backend: str) -> dict[str, object]:
        """Its outcome, its reason, and all the harm that was done."""
        known = {"SECRET": str(self.secret), "HOME": str(self.home), "VICTIM": self.victim.pid,
                 "PORT": self.tcp.getsockname()[1], "SOCKET": str(self.home / "socket")}
        text = PRELUDE + "".join(f"{name} = {value!r}\n" for name, value in known.items()) + program
        with BACKENDS[backend](limits) as place:
            uid = os.geteuid() if place.uid is None else place.uid
            end = run_in(place, {"program": text, "tests": TESTS, "nonce": NONCE}, limits)
            alive = left(uid)
        verdict = judge(end, NONCE, limits, backend)
        return {"outcome": verdict.outcome, "reason": verdict.reason, "harm": [*self.harm(verdict.output), *alive]}

    def harm(self, output: str) -> list[str]:
        """`output` is what the program printed: nothing secret may be in it."""
        found = [] if self._seen() == self.before else [f"the home was changed: {self._seen()}"]
        found += ["something is left in the temporary folder"] if any(self.temporary.iterdir()) else []
        found += ["the other process is gone"] if self.victim.poll() is not None else []
        found += ["a secret was read"] if "s3cret" in output or NONCE in output else []
        for listening in (self.tcp, self.unix):
            listening.setblocking(False)
            try:
                listening.accept()
                found.append("a connection was made")
            except BlockingIOError:
                pass
        return found

    def _seen(self) -> dict[str, object]:
        return {path.name: (path.stat().st_mode, path.read_text() if path.is_file() else "")
                for path in self.home.iterdir()}


def left(uid: int) -> list[str]:
    """Programs from inside a sandbox that live on. The kernel takes a moment to end a namespace."""
    for _ in range(200):
        found = inside(uid)
        if not found:
            return []
        time.sleep(0.01)  # a bound on the waiting, not an order of events
    return [f"a process is left: {pid}" for pid in found]


def inside(uid: int, *, confined: bool = False) -> list[int]:
    """The uid's processes of a sandbox, or those of them that have come as far as the filter."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if b"What runs inside" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                continue
            facts = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        except (FileNotFoundError, ProcessLookupError):
            continue
        if facts["Uid"].split("\t")[0] == str(uid) and (not confined or facts["Seccomp"] == "2"):
            found.append(int(pid))
    return found


def play(backend: str) -> dict[str, dict[str, object]]:
    """Every attack in one backend, one after the other."""
    with tempfile.TemporaryDirectory() as base:
        os.chmod(base, 0o755)
        stage = Stage(Path(base))
        try:
            found = {name: stage.attack(text, LIMITS.get(name, QUICK), backend) for name, text in ATTACKS.items()}
            if backend == "bubblewrap":
                found |= {f"{name}, processes allowed": stage.attack(text, SEVERAL, backend)
                          for name, (text, _) in WITH_PROCESSES.items()}
            return found
        finally:
            stage.close()


if __name__ == "__main__":
    print(json.dumps(play(sys.argv[1])))
