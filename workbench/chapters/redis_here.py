"""A redis-server of a chapter's own, on a unix socket, and what a look at the cache costs there."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from workbench.control.cache import ResponseCache, cache_key
from workbench.errors import Failure
from workbench.figures.table import Table, number
from workbench.report.prose import Prose

START_TIMEOUT_S = 20.0


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Its socket's path. Raises Failure where there is none to start."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise Failure("redis-server is not installed (Debian: apt-get install redis-server)")
    with tempfile.TemporaryDirectory(prefix="wb-") as folder:  # short: a socket's path has at most 107 characters
        socket = f"{folder}/redis.sock"
        words = [binary, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--save", "", "--appendonly",
                 "no", "--dir", folder]
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not Path(socket).exists():
                if child.poll() is not None or time.monotonic() > deadline:
                    raise Failure(f"redis-server did not start within {START_TIMEOUT_S:g} s")
                time.sleep(0.02)
            yield socket
        finally:
            child.terminate()
            child.wait(timeout=START_TIMEOUT_S)


def look_table(looks: int) -> Table | Prose:
    """Measured: what one look at the response cache takes in memory and in Redis; says what is missing."""
    try:
        import redis

        from workbench.adapters.redis_responses import RedisResponseCache
    except ImportError:
        return Prose("Redis was not measured: `pip install redis` is missing.")
    key = cache_key("m", "r", {"temperature": 0}, "prompt", "all")
    memory = ResponseCache(10**6, 60 * 10**9)
    memory.fill(0, key, b"answer" * 100)
    rows = [("memory of the gateway", *_timed(lambda i: memory.look(i, key, str(i)), looks))]
    try:
        with server() as socket:
            kept = RedisResponseCache(redis.Redis(unix_socket_path=socket), 60 * 10**9)
            kept.fill(0, key, b"answer" * 100)
            rows.append(("Redis on this machine", *_timed(lambda i: kept.look(1000 * i, key, str(i)), looks)))
    except Failure as missing:
        return Prose(f"Redis was not measured: {missing}.")
    return Table(("where", "a look, median (us)", "95th percentile (us)"), tuple(rows),
                 f"Measured here, n = {looks} looks of each, all hits. A network between them adds its round trip.")


def _timed(look: Callable[[int], object], n: int) -> tuple[str, str]:
    took_us = []
    for i in range(n):
        begun_ns = time.perf_counter_ns()
        look(i)
        took_us.append((time.perf_counter_ns() - begun_ns) / 1e3)
    return number(float(np.median(took_us))), number(float(np.quantile(took_us, 0.95)))
