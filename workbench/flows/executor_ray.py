"""Tasks on Ray: a cluster's address, or one that is started here for the time of the call."""

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from workbench.errors import Failure, UsageError
from workbench.flows.executor import Refused, guarded

T = TypeVar("T")
R = TypeVar("R")
LOOPBACK = "127.0.0.1"


def on_ray(function: Callable[[T], R], tasks: Sequence[T], address: str) -> Iterator[R | Refused]:
    """Results in order. The cluster's nodes need this version of the workbench and the files that tasks name."""
    with _connected(address) as ray:
        remote = ray.remote(guarded)
        waiting = [remote.remote(function, task) for task in tasks]
        try:
            for reference in waiting:
                yield ray.get(reference)
        except ray.exceptions.RayError as error:
            raise Failure(f"ray {address}: a task failed: {_last_line(error)}") from error
        finally:
            for reference in waiting:
                ray.cancel(reference, force=True)


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
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
        options |= {"address": address}
    try:
        ray.init(**options)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise Failure(f"ray {address}: cannot connect: {_last_line(error)}; `ray status` shows a running cluster") \
            from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
