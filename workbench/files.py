"""Writing files so that nothing half-written ever lies under a final name."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.errors import Failure


@contextlib.contextmanager
def atomic(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename on success, remove on any error.

    `durable` syncs the file before the rename: for what a crash must not lose. A full disk becomes one line.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable:
            with temporary.open("rb+") as handle:
                os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        raise Failure(f"{path.name}: cannot be written: {error.strerror or error}; nothing was kept") from error
    finally:
        with contextlib.suppress(OSError):  # its folder may be the very thing that is missing
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, durable: bool = False) -> None:
    with atomic(path, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Human-readable JSON; NaN and infinity are refused (they are not JSON)."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Parsed JSON, or one line that names the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Failure(f"{path}: no such file") from error
    except (ValueError, RecursionError) as error:  # nested deeper than any file of ours
        raise Failure(f"{path.name}: not valid JSON: {error}") from error
