"""The ways to keep a program in: each makes a place for one run and takes it away again."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from workbench.errors import Failure, UsageError
from workbench.quality.sandbox.bpf import compiled
from workbench.quality.sandbox.child import Place
from workbench.quality.sandbox.limits import Limits
from workbench.quality.sandbox.python import interpreter, readable
from workbench.quality.sandbox.uids import lent

Backend = Callable[[Limits], AbstractContextManager[Place]]


@contextlib.contextmanager
def bubblewrap(limits: Limits) -> Iterator[Place]:
    """Namespaces of its own: nothing of the host but /usr, read-only, and a small /tmp in memory. seccomp on top."""
    program = shutil.which("bwrap")
    if program is None:
        raise Failure("bubblewrap is not installed")
    with lent() as uid:
        python = interpreter(uid)
        # +1: bubblewrap's own process in the namespace counts there, too
        tasks = limits.processes + limits.threads + 1
        order = {"parent": 0, "landlock": [], "filter": compiled(limits)}
        yield Place((program, *_mounts(readable(python), limits), str(python)), uid, order, tasks)


def _mounts(paths: list[str], limits: Limits) -> list[str]:
    words = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL",
             "--hostname", "sandbox", "--size", str(limits.folder_bytes), "--tmpfs", "/tmp"]
    for path in paths:
        words += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]
    for device in ("/dev/null", "/dev/zero", "/dev/urandom"):  # not --dev: its /dev/shm has no limit
        words += ["--dev-bind", device, device]
    return [*words, "--remount-ro", "/", "--chdir", "/tmp"]


@contextlib.contextmanager
def other_uid(limits: Limits) -> Iterator[Place]:
    """seccomp and Landlock, under a uid that owns nothing but its folder. For root."""
    if os.geteuid() != 0:
        raise Failure("only root can run a program under another uid")
    with lent() as uid, _folder(uid) as folder:
        yield _confined(uid, folder, limits, 1 + limits.threads)


@contextlib.contextmanager
def own_uid(limits: Limits) -> Iterator[Place]:
    """seccomp and Landlock, under one's own uid: for who is not root and has no namespaces. One thread."""
    if os.geteuid() == 0:
        raise Failure("a program is never run as root")
    with _folder(None) as folder:
        yield _confined(None, folder, limits, None)


def _confined(uid: int | None, folder: Path, limits: Limits, tasks: int | None) -> Place:
    if limits.processes > 1:
        raise UsageError(f"sandbox: processes = {limits.processes}: more than one needs bubblewrap")
    python = interpreter(uid)
    codes = compiled(limits, threads=tasks is not None)
    order = {"parent": os.getpid(), "landlock": readable(python), "filter": codes}
    return Place((str(python),), uid, order, tasks, folder)


@contextlib.contextmanager
def unsafe(_limits: Limits) -> Iterator[Place]:
    """Limits and an empty environment only: it reads, writes, signals and talks as you could."""
    with _folder(None) as folder:
        order = {"parent": os.getpid(), "landlock": [], "filter": []}
        yield Place((str(interpreter(None)),), None, order, None, folder)


@contextlib.contextmanager
def _folder(uid: int | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sandbox-") as name:
        if uid is not None:
            os.chown(name, uid, uid)
        yield Path(name)


BACKENDS: dict[str, Backend] = {
    "bubblewrap": bubblewrap, "other uid": other_uid, "own uid": own_uid, "unsafe": unsafe,
}
