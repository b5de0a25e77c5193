"""Reading what a child says, no more than it may, until it ends or has to."""

import os
import selectors
import time
from pathlib import Path

from workbench.quality.sandbox.limits import Limits
from workbench.quality.sandbox.verdict import Stop

LOOK_S = 0.02  # between two looks at what the folder holds
ENTRY_BYTES = 4096  # what a file costs, empty or not
READ_BYTES = 1 << 16


class Watch:
    """`got` is what came from each descriptor, at most as many bytes as `caps` says (never blocking)."""

    def __init__(self, caps: dict[int, int], limits: Limits, folder: Path | None) -> None:
        self.got = {fd: bytearray() for fd in caps}
        self._caps, self._limits, self._folder = caps, limits, folder
        self._over = False

    def until_end(self, pid: int, started: float) -> Stop:
        """Why the child has to be killed; "" when it ended by itself."""
        ended = os.pidfd_open(pid)
        try:
            with selectors.DefaultSelector() as selector:
                for fd in (*self._caps, ended):
                    selector.register(fd, selectors.EVENT_READ)
                return self._loop(selector, ended, started + self._limits.wall_s)
        finally:
            os.close(ended)

    def _loop(self, selector: selectors.BaseSelector, ended: int, deadline: float) -> Stop:
        while (left_s := deadline - time.monotonic()) > 0:
            ready = {key.fd for key, _ in selector.select(left_s if self._folder is None else min(left_s, LOOK_S))}
            for fd in ready & self._caps.keys():
                if not self._read(fd):
                    selector.unregister(fd)
            if stop := self._too_much():
                return stop
            if ended in ready:
                return ""
        return "wall"

    def rest(self) -> Stop:
        """What still lies in the pipes once the child is gone."""
        for fd in self._caps:
            while not self._over and self._read(fd):
                pass
        return self._too_much()

    def _read(self, fd: int) -> bool:
        """Whether there may be more."""
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:
            return False
        room = self._caps[fd] - len(self.got[fd])
        self.got[fd] += data[:room]
        self._over |= len(data) > room
        return bool(data)

    def _too_much(self) -> Stop:
        if self._over:
            return "output"
        if self._folder is not None and _held_bytes(self._folder) > self._limits.folder_bytes:
            return "folder"
        return ""


def _held_bytes(folder: Path) -> int:
    """What lies in a flat folder, while files come and go."""
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                total += max(ENTRY_BYTES, entry.stat(follow_symlinks=False).st_blocks * 512)
            except FileNotFoundError:
                continue
    return total
