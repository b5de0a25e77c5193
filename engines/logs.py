"""An engine's own words, made safe to show: they are hostile text (model metadata, prompts, escapes)."""

import re
from pathlib import Path

from workbench.redact import redact

_ESCAPES = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b.|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
TAIL_BYTES = 64 * 1024
LINE_CHARS = 240


def read(path: Path, most_bytes: int = 4 * 1024 * 1024) -> str:
    """The beginning of a log (facts are printed at start)."""
    try:
        with path.open("rb") as handle:
            return handle.read(most_bytes).decode("utf-8", "replace")
    except OSError:
        return ""


def tail(path: Path, lines: int) -> list[str]:
    """The last lines, without escapes, control characters, secrets and blank lines, each cut to a width."""
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, 2)
            handle.seek(max(0, size - TAIL_BYTES))
            text = handle.read().decode("utf-8", "replace")
    except OSError:
        return []
    clean = (_ESCAPES.sub("", redact(line)).strip() for line in text.splitlines())
    return [line[:LINE_CHARS] for line in clean if line][-lines:]
