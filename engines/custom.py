"""An engine from the user's own file, as given on a command line: `--engine ./mine.py:ENGINE`."""

from dataclasses import replace
from pathlib import Path

from engines.lookup import find
from engines.record import Engine
from workbench.errors import UsageError
from workbench.own_code import run_file


def from_command_line(text: str) -> Engine:
    """An engine by name, or `FILE.py:NAME`. The file is run: what a TOML file names never comes here."""
    path_text, _, attribute = text.rpartition(":")
    if not path_text.endswith(".py"):
        return find(text)
    path = Path(path_text)
    module, digest = run_file(path, f"engine {text}", "workbench_engine_")
    record = getattr(module, attribute, None)
    if not isinstance(record, Engine):
        known = [key for key, value in vars(module).items() if isinstance(value, Engine)]
        raise UsageError(f"engine {text}: {path} has no engine {attribute!r}; it has {', '.join(known) or 'none'}")
    return replace(record, source=f"{path.name}:{attribute} sha256 {digest}")
