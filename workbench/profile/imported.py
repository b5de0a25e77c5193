"""What every import says of itself: the file, its hash, how many rows counted, what was left out and why."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import UsageError

MAX_BYTES = 20_000_000  # of a benchmark's output; anything longer is something else


@dataclass(slots=True)
class Origin:
    """Grows while a file is read; ends in the profile's provenance."""

    file: str
    sha256: str
    rows: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str, n: int = 1) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + n

    def as_json(self, **more: Any) -> dict[str, Any]:
        return {"file": self.file, "sha256": self.sha256, "rows_used": self.rows, "left_out": self.left_out, **more}


def opened(path: Path) -> tuple[str, Origin]:
    """The file's text and where it comes from."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UsageError(f"{path.name}: {size} bytes; a benchmark's output has at most {MAX_BYTES}")
        raw = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return raw.decode("utf-8"), Origin(path.name, hashlib.sha256(raw).hexdigest())
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name}: not text in UTF-8: {error}") from error
