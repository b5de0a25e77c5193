"""Another uid for each program that runs: what counts by uid is then its own, and nothing of the host is."""

import contextlib
import errno
import os
import pwd
import socket
from collections.abc import Iterator

from workbench.errors import Failure

FIRST, LAST = 64_200, 64_455  # inside the 65,536 that containers map, away from people and from services


@contextlib.contextmanager
def lent() -> Iterator[int | None]:
    """A uid that nobody else holds while this lasts; None (one's own) for who is not root.

    A socket with an abstract name is the lock: the kernel takes it back from whoever dies.
    """
    if os.geteuid() != 0:
        yield None
        return
    for uid in range(FIRST, LAST + 1):
        with socket.socket(socket.AF_UNIX) as lock:
            if not _has_account(uid) and _takes(lock, uid):
                yield uid
                return
    raise Failure(f"sandbox: every uid from {FIRST} to {LAST} is taken; run fewer programs at a time")


def _takes(lock: socket.socket, uid: int) -> bool:
    try:
        lock.bind(f"\0inference-workbench-sandbox-{uid}")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
