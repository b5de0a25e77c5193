"""Keeper of one engine: `python -I -S supervisor.py PARENT_PID`, standard library only.

Standard input is the lifeline: its first line is the order (JSON: argv, env, cwd, log, grace_s, and a scratch folder
to remove at the end), then it stays open.
When it ends, or the parent does (kill -9 included), the engine and everything it started is killed.
Standard output tells the parent: {"pid"}, what the engine announces itself, {"exit"}.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
ANNOUNCE = "WORKBENCH_ANNOUNCE_FD"
KILL_S = 10.0  # a process that outlives SIGKILL for so long sits in the kernel: nothing more can be done


def tell(**message: Any) -> None:
    """One line to the parent; it may be gone."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(message).encode() + b"\n")


def descendants(root: int) -> list[int]:
    """All live pids below `root`, from one pass over /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError), open(f"/proc/{name}/stat", errors="replace") as handle:
            fields = handle.read().rpartition(")")[2].split()
            if fields[0] not in "ZX":
                children.setdefault(int(fields[1]), []).append(int(name))
    found: list[int] = []
    stack = [root]
    while stack:
        below = children.get(stack.pop(), [])
        found += below
        stack += below
    return found


def segments(pids: list[int]) -> set[str]:
    """Files in /dev/shm that these processes have mapped, found by inode: a semaphore is mapped under another name."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", errors="replace") as handle:
            inodes |= {line.split(maxsplit=5)[4] for line in handle if " /dev/shm/" in line}
    found = set()
    with contextlib.suppress(OSError):
        for entry in os.scandir("/dev/shm"):
            with contextlib.suppress(OSError):
                if str(entry.inode()) in inodes:
                    found.add(entry.path)
    return found


def start(order: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    """Start the engine in a session of its own; it dies with this process whatever happens.

    Keep what is returned: when it is thrown away it collects an engine that has ended already, exit code and all, and
    nobody would ever hear of it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    announce = os.dup(1)
    environment = {**order["env"], ANNOUNCE: str(announce)}
    with open(order["log"], "ab", buffering=0) as log:
        engine = subprocess.Popen(
            order["argv"], env=environment, cwd=order["cwd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, pass_fds=(announce,),
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),  # safe: one thread only
        )
    os.close(announce)
    return engine


class Keeper:
    """Waits for the engine's end or the parent's, then leaves nothing behind."""

    def __init__(self, parent: int) -> None:
        self.wake, wakes = os.pipe()
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes)  # a signal becomes a readable byte: no handler has anything to do
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        self.poll = select.poll()
        self.poll.register(self.wake, select.POLLIN)
        self.poll.register(0, select.POLLIN | select.POLLHUP)
        self.parent_fd = -1
        with contextlib.suppress(OSError, AttributeError):  # an old kernel: the lifeline alone must do
            # a fork of the parent may hold the lifeline open after it; the parent's own end is what counts
            self.parent_fd = os.pidfd_open(parent)
            self.poll.register(self.parent_fd, select.POLLIN)
        self.orphaned = os.getppid() != parent
        self.begun_s = time.time()
        self.shared: set[str] = set()

    def run(self, order: Mapping[str, Any]) -> int:
        kept = start(order)
        engine = kept.pid
        tell(pid=engine)
        code = None
        while code is None and not self.orphaned:
            events = dict(self.poll.poll())
            stop = any(fd in events for fd in (0, self.parent_fd))
            if self.wake in events:
                stop |= any(byte != signal.SIGCHLD for byte in os.read(self.wake, 512))
                code = self.reap(engine)
            if stop:
                break
        self.shared |= segments(descendants(os.getpid()))
        if code is None:
            code = self.end(engine, float(order["grace_s"]))
        self.sweep()
        self.unlink()
        if order.get("scratch"):
            shutil.rmtree(order["scratch"], ignore_errors=True)
        tell(exit=code)
        return 0

    def reap(self, engine: int) -> int | None:
        """Collect the dead (adopted orphans too); the engine's exit code once it is among them."""
        code = None
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == engine:
                    code = os.waitstatus_to_exitcode(status)
        return code

    def end(self, engine: int, grace_s: float) -> int | None:
        """Ask the engine's group to end; after the grace time `sweep` does it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(engine, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        code = None
        while code is None and (left := deadline - time.monotonic()) > 0:
            self._nap(left)
            code = self.reap(engine)
        return code

    def sweep(self) -> None:
        """Kill every descendant until there is none: what is forked meanwhile is met in the next round."""
        deadline = time.monotonic() + KILL_S
        while (left := descendants(os.getpid())) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self._nap(0.02)
            self.reap(0)

    def unlink(self) -> None:
        """Shared memory that the engine made and did not remove (killed workers cannot); never older than it."""
        for path in self.shared:
            with contextlib.suppress(OSError):
                if os.lstat(path).st_ctime >= self.begun_s - 0.1 and os.lstat(path).st_uid == os.getuid():
                    os.unlink(path)

    def _nap(self, most_s: float) -> None:
        """Until a signal (a child's end) or the time is over."""
        if select.select([self.wake], [], [], most_s)[0]:
            os.read(self.wake, 512)


def main() -> int:
    keeper = Keeper(int(sys.argv[1]))
    line = sys.stdin.buffer.readline()
    if not line or keeper.orphaned:
        return 0
    try:
        return keeper.run(json.loads(line))
    except OSError as error:
        tell(failed=str(error))
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
