"""Code from a file of the user's own: run because a command line named it, never because a file did."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from workbench.errors import UsageError


def run_file(path: Path, what: str, begins: str) -> tuple[ModuleType, str]:
    """The module that the file makes, called `begins` and its digest, and the sha256 of its bytes. `what` begins every
    complaint, such as `--policy scheduling=./mine.py:Mine`. Raises UsageError, also for what the file raises."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{what}: {path} cannot be read: {error.strerror}") from None
    digest = hashlib.sha256(content).hexdigest()
    name = f"{begins}{digest[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{what}: {path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        raise UsageError(f"{what}: {path} fails: {type(error).__name__}: {error}") from error
    return module, digest
