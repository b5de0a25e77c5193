"""Parameters of a notebook, checked before it runs: papermill alone would run on with a misspelt name."""

import difflib
import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from workbench import config
from workbench.errors import UsageError

MOST_RUNS = 200  # of a grid
_TYPES: Mapping[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "str": (str,), "bool": (bool,)}


def parse(params: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE items of a command line."""
    found: dict[str, str] = {}
    for item in params:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise UsageError(f"--param {item!r}: write it as KEY=VALUE")
        if key in found:
            raise UsageError(f"--param {key}: given twice")
        found[key] = value
    return found


def grid(path: Path) -> list[dict[str, Any]]:
    """Every combination of a TOML file's lists, the last key fastest; a value that is no list is one value."""
    table = config.table(config.read_text(path), path.name)
    if not table or any(isinstance(value, dict) for value in table.values()):
        raise UsageError(f"{path.name}: parameter = [values], a line each, and no tables")
    lists = [value if isinstance(value, list) else [value] for value in table.values()]
    found = [dict(zip(table, values, strict=True)) for values in product(*lists)]
    if not 1 <= len(found) <= MOST_RUNS:
        raise UsageError(f"{path.name}: {len(found)} combinations; 1 to {MOST_RUNS} are run")
    return found


def checked(name: str, known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with every name known and every value of its type.

    Text (from a command line) is read as the parameter's type. Raises UsageError.
    """
    return {key: _typed(name, key, value, _known(name, known, key)) for key, value in given.items()}


def _known(name: str, known: Mapping[str, Any], key: str) -> str:
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"its parameters: {', '.join(sorted(known)) or 'none'}"
        raise UsageError(f"notebook {name!r}: {key}: unknown parameter; {hint}")
    return str(known[key]["inferred_type_name"])


def _typed(name: str, key: str, value: Any, kind: str) -> Any:
    wanted = _TYPES.get(kind)
    if isinstance(value, str) and kind != "str":
        try:
            value = json.loads(value.lower() if kind == "bool" else value)
        except ValueError:
            raise UsageError(f"notebook {name!r}: {key}: {value!r} is no {kind}") from None
    fits = wanted is None or (isinstance(value, wanted) and (kind == "bool") == isinstance(value, bool))
    if not fits:
        raise UsageError(f"notebook {name!r}: {key}: {value!r} is no {kind}")
    return float(value) if kind == "float" else value
