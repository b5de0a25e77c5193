"""The notebooks that may be run: `notebooks/*.py` in percent format, built to .ipynb with derived cell ids."""

import difflib
import hashlib
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.files import write_text
from workbench.paths import data

_TYPES: Mapping[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "str": (str,), "bool": (bool,)}


def names() -> list[str]:
    return sorted(path.stem for path in data("notebooks").glob("*.py"))


def source(name: str) -> Path:
    """The percent-format file of a notebook on the list; any other name is refused."""
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise UsageError(f"no notebook called {name!r}; {hint}")
    return data("notebooks") / f"{name}.py"


def build(path: Path) -> Any:
    """The notebook as nbformat's node. jupytext draws cell ids at random, so they are derived here."""
    import jupytext

    notebook = jupytext.read(path, fmt="py:percent")
    notebook.metadata = {
        "kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        digest = hashlib.sha256(str(cell.source).encode()).hexdigest()[:8]
        cell.id = f"{path.stem}-{number:02d}-{digest}"
    return notebook


def save(notebook: Any, path: Path) -> None:
    import nbformat

    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]  # nbformat is untyped here
    write_text(path, text + "\n")


def parameters(notebook: Any) -> dict[str, Any]:
    """Name to papermill's description (inferred_type_name, default, help) of the parameters cell."""
    import papermill

    logging.getLogger("papermill").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        path = Path(folder) / "notebook.ipynb"
        save(notebook, path)
        found: dict[str, Any] = papermill.inspect_notebook(path)
    return found


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


def checked(name: str, known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with every name known and every value of its type; papermill alone would run on with a typo.

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
