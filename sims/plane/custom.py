"""A policy from the user's own file, as given on a command line: `scheduling=./mine.py:Mine`."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

from workbench.errors import UsageError

KINDS = ("scheduling", "routing")


def load_policy(text: str) -> tuple[str, Any, str]:
    """(kind, class, "mine.py:Mine sha256 ..."). The file is run: only ever from a command line. Raises UsageError."""
    kind, _, place = text.partition("=")
    path_text, _, name = place.rpartition(":")
    path = Path(path_text)
    if kind not in KINDS or not path_text.endswith(".py") or not name:
        raise UsageError(f"--policy {text}: write KIND=./FILE.py:CLASS, KIND one of {', '.join(KINDS)}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--policy {text}: {path} cannot be read: {error.strerror}") from None
    digest = hashlib.sha256(content).hexdigest()
    module_name = f"workbench_custom_{digest[:16]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"--policy {text}: {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # dataclasses look there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        raise UsageError(f"--policy {text}: {path} fails: {type(error).__name__}: {error}") from error
    policy = getattr(module, name, None)
    if not isinstance(policy, type):
        known = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise UsageError(f"--policy {text}: {path} has no class {name}; it has {', '.join(known) or 'none'}")
    return kind, policy, f"{path.name}:{name} sha256 {digest}"
