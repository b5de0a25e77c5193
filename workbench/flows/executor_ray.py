"""Tasks on Ray: a cluster's address, or one that is started here for the time of the call."""

import contextlib
import importlib
import os
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

from workbench.errors import Failure, UsageError
from workbench.flows.executor import Refused, guarded

T = TypeVar("T")
R = TypeVar("R")
LOOPBACK, TRIES, KNOCK_S = "127.0.0.1", 3, 5.0


def on_ray(function: Callable[[T], R], tasks: Sequence[T], address: str) -> Generator[R | Refused, None, None]:
    """Results in order; leaving early ends the job, and with it its tasks.

    The cluster's nodes need this version of the workbench and the files that tasks name.
    """
    with connected(address) as ray:
        remote = ray.remote(guarded)
        waiting = [remote.remote(function, task) for task in tasks]
        try:
            for reference in waiting:
                yield ray.get(reference)
        except ray.exceptions.RayError as error:
            raise Failure(f"ray {address}: a task failed: {_last_line(error)}") from error


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # no telemetry
    if address == "local":  # read when ray is imported: without it every server binds the machine's outer address
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    try:
        ray: Any = importlib.import_module("ray")  # an extra: absent where nobody asked for it
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "ray":
            raise
        raise UsageError("--ray needs ray: pip install 'inference-workbench[distributed]'") from error
    if ray.is_initialized():
        raise UsageError("ray is in use in this process already; one connection at a time")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        options |= {"address": "local", "include_dashboard": False, "_node_ip_address": LOOPBACK}
    else:
        _reachable(address)
        options |= {"address": address}
    _begin(ray, address, options, tries=TRIES if address == "local" else 1)
    try:
        yield ray
    finally:
        ray.shutdown()


def _reachable(address: str) -> None:
    """Ray tries an address where nobody listens for minutes: knock first."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise Failure(f"ray {address}: nobody answers there ({error}); `ray status` shows a running cluster") from error


def _begin(ray: Any, address: str, options: dict[str, Any], tries: int) -> None:
    """Connect. A local node has 30 s to start, which Ray fixes and a busy machine may miss: then again."""
    try:
        ray.init(**options)
    except Exception as error:  # a node that does not start is no other kind
        ray.shutdown()
        if tries > 1:
            return _begin(ray, address, options, tries - 1)
        raise Failure(f"ray {address}: cannot connect: {_last_line(error)}; `ray status` shows a running cluster") \
            from error


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
