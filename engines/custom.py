"""An engine from the user's own file, as given on a command line: `--engine ./mine.py:ENGINE`."""

import hashlib
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

from engines.lookup import find
from engines.record import Engine
from workbench.errors import UsageError


def from_command_line(text: str) -> Engine:
    """An engine by name, or `FILE.py:NAME`. The file is run: what a TOML file names never comes here."""
    path_text, _, attribute = text.rpartition(":")
    if not path_text.endswith(".py"):
        return find(text)
    path = Path(path_text)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"engine {text}: {path} cannot be read: {error.strerror}") from None
    digest = hashlib.sha256(content).hexdigest()
    name = f"workbench_engine_{digest[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        raise UsageError(f"engine {text}: {path} fails: {type(error).__name__}: {error}") from error
    record = getattr(module, attribute, None)
    if not isinstance(record, Engine):
        known = [key for key, value in vars(module).items() if isinstance(value, Engine)]
        raise UsageError(f"engine {text}: {path} has no engine {attribute!r}; it has {', '.join(known) or 'none'}")
    return replace(record, source=f"{path.name}:{attribute} sha256 {digest}")
