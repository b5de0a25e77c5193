"""A redis-server of the tests' own, on a unix socket in a temporary folder."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def redis_socket() -> Iterator[str]:
    """The socket's path; the test is skipped, saying so, where there is no redis-server."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    redis = pytest.importorskip("redis", reason="the package redis is not installed (pip install redis)")
    # short: a socket's path has at most 107 characters
    with tempfile.TemporaryDirectory(prefix="wb-") as folder, Path(folder, "log").open("wb") as log:
        socket = f"{folder}/redis.sock"
        server = subprocess.Popen(
            [binary, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "700", "--save", "", "--appendonly",
             "no", "--dir", folder],
            stdout=log, stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    redis.Redis(unix_socket_path=socket).ping()
                    break
                except redis.ConnectionError:
                    assert server.poll() is None, Path(folder, "log").read_text()
                    assert time.monotonic() < deadline, "redis-server did not start within 20 s"
                    time.sleep(0.02)
            yield socket
        finally:
            server.terminate()
            server.wait(timeout=20)


@pytest.fixture
def redis_client(redis_socket: str) -> Iterator[Any]:
    import redis

    with redis.Redis(unix_socket_path=redis_socket) as client:
        client.flushall()
        yield client
