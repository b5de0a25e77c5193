"""What went wrong at a point, as a label and the engine's own last words; it never ends the sweep."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from workbench.redact import redact

Kind = Literal["refused", "not installed", "out of memory", "hangs at start", "dies at start", "dies", "too slow",
               "no answer", "not tried", "client", "over-saturated"]
_MEMORY = re.compile(r"out of memory|outofmemory|cannot allocate|bad_alloc|failed to allocate|oom-kill", re.IGNORECASE)
_DISK = re.compile(r"No space left on device|Disk quota exceeded|Read-only file system|Input/output error")


@dataclass(frozen=True, slots=True)
class PointFailure:
    """A labelled failure. `log_tail` are the last lines of the engine's log, without secrets and escapes."""

    kind: Kind
    message: str
    log_tail: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"log_tail": list(self.log_tail)}


def of_start(message: str, tail: Sequence[str]) -> PointFailure:
    """An engine that did not come up."""
    text = redact(message)
    if _is_memory(text, tail):
        return PointFailure("out of memory", text, tuple(tail))
    hangs = "was not ready within" in text or "does not answer" in text
    return PointFailure("hangs at start" if hangs else "dies at start", text, tuple(tail))


def of_run(message: str, tail: Sequence[str], *, alive: bool) -> PointFailure:
    """An engine that came up and did not serve the whole workload."""
    text = redact(message)
    if not alive and _is_memory(text, tail):
        return PointFailure("out of memory", text, tuple(tail))
    return PointFailure("no answer" if alive else "dies", text, tuple(tail))


def _is_memory(message: str, tail: Sequence[str]) -> bool:
    return any(_MEMORY.search(line) for line in (message, *tail)) or "killed by SIGKILL" in message


def is_ours(message: str) -> bool:
    """Failures of this machine and not of the point: the sweep stops, and a rerun does the point again."""
    return bool(_DISK.search(message))
