"""How a launched engine and its parent talk: CONFIG.json in (0600, removed once read), one announced line out."""

import json
import os
from pathlib import Path
from typing import Any

from engines.supervisor import ANNOUNCE


def write_config(folder: Path, config: dict[str, Any]) -> Path:
    """Hand over a configuration that holds a key: nobody else can read it, not even for a moment."""
    path = folder / "CONFIG.json"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        json.dump(config, handle)
    return path


def read_config(path: Path) -> dict[str, Any]:
    """Read the configuration and remove it: the key then lives in two processes' memory only."""
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return config


def announce(url: str) -> None:
    """Tell the parent where the engine listens; called once, when it answers."""
    descriptor = int(os.environ.pop(ANNOUNCE))
    os.write(descriptor, json.dumps({"ready": url}).encode() + b"\n")
    os.close(descriptor)
