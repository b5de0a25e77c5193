"""The licence that a model folder states: in its README's front matter, its config, or a LICENSE file."""

from __future__ import annotations

import re
from pathlib import Path

from workbench.models.bounded import bounded_object

_LINE = re.compile(r"^license:\s*[\"']?([\w.+ -]{1,60})", re.MULTILINE)
_LARGEST_BYTES = 1 << 20


def licence_of(folder: Path) -> str:
    """Its name as stated, "see FILE" where only a text lies there, or "not stated"."""
    readme = folder / "README.md"
    if readme.is_file() and readme.stat().st_size <= _LARGEST_BYTES:
        head = readme.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0]
        if head.startswith("---") and (hit := _LINE.search(head)):
            return hit[1].strip()
    if (folder / "config.json").is_file():
        told = bounded_object(folder / "config.json").get("license")
        if isinstance(told, str) and told:
            return told[:60]
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE"):
        if (folder / name).is_file():
            return f"see {name}"
    return "not stated"
