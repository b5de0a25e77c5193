"""The truth server as a process on a core of its own."""

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def truth(core: int | None) -> Iterator[int]:
    """The port of a server on that core."""
    pinned = [] if core is None else ["--core", str(core)]
    server = subprocess.Popen([sys.executable, str(Path(__file__).with_name("truth_server.py")), *pinned],
                              stdout=subprocess.PIPE, start_new_session=True)
    assert server.stdout is not None
    try:
        yield int(server.stdout.readline())
    finally:
        server.kill()
        server.wait()


def written(port: int) -> list[list[int]]:
    """Of each answer since this was last asked: when its request arrived, then when each token was written."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/truth") as found:
        return json.loads(found.read())  # type: ignore[no-any-return]
