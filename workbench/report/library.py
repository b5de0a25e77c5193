"""The notebooks that may be run: `notebooks/src/*.py` in percent format, built to .ipynb with derived cell ids."""

import difflib
import hashlib
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are a package of their own

from workbench.errors import Failure, UsageError
from workbench.files import write_text
from workbench.paths import data

MODES = ("concept", "technique", "practice")  # three ways through the book
_FENCE = "# ---"


@dataclass(frozen=True, slots=True)
class About:
    """What a notebook's header says of it; the only place where it is said."""

    name: str
    chapter: str = ""  # of the book: "12", "5.5", "A"; empty: of none
    modes: tuple[str, ...] = ()
    readers: str = ""  # for whom
    run_s: float = 0.0  # through papermill on two cores
    quick_s: float = 0.0  # with `quick`, in one process
    basis: Mapping[str, str] = field(default_factory=dict)  # measured, simulated, imported ...: what
    claims: tuple[str, ...] = ()  # ids in datasets/claims.toml

    @property
    def order(self) -> tuple[int, float, str]:
        """As in the book: chapters by number, appendices by letter, then the rest."""
        if not self.chapter:
            return 2, 0.0, self.name
        return (0, float(self.chapter), "") if self.chapter[0].isdigit() else (1, 0.0, self.chapter)


def names() -> list[str]:
    """All, in the book's order."""
    return [item.name for item in every()]


def every() -> list[About]:
    return sorted((_about(path) for path in _files().values()), key=lambda item: item.order)


def about(name: str) -> About:
    return _about(source(name))


def source(name: str) -> Path:
    """The percent-format file of a notebook on the list: by its whole name, or as `ch12`. Others are refused."""
    files = _files()
    found = [key for key in files if begins(name, key)]
    if len(found) == 1 or name in files:
        return files[name if name in files else found[0]]
    near = difflib.get_close_matches(name, files, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(files)}"
    raise UsageError(f"no notebook called {name!r}; {hint}")


def begins(short: str, name: str) -> bool:
    """Whether `ch12` means `ch12_scheduling`; ch05 does not mean ch05_5_browser, which is chapter 5.5's."""
    return name.startswith(f"{short}_") and not name[len(short) + 1:len(short) + 2].isdigit()


def _files() -> dict[str, Path]:
    return {path.stem: path for path in sorted((data("notebooks") / "src").glob("*.py"))}


def built(name: str) -> Path:
    """Where the .ipynb lies that is committed beside the sources."""
    return data("notebooks") / f"{name}.ipynb"


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
        cell.id = f"{path.stem}-{number:02d}-{digest}"[-64:]  # nbformat's limit
    return notebook


def text(notebook: Any) -> str:
    """As it is stored: the same notebook gives the same bytes."""
    import nbformat

    written: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]  # nbformat is untyped here
    return written + "\n"


def save(notebook: Any, path: Path) -> None:
    write_text(path, text(notebook))


def outdated() -> list[str]:
    """Names whose committed .ipynb is not what its source gives, and .ipynb files without a source."""
    wanted = {name: text(build(path)) for name, path in _files().items()}
    there = {path.stem: path.read_text(encoding="utf-8") for path in data("notebooks").glob("*.ipynb")}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def parameters(notebook: Any) -> dict[str, Any]:
    """Name to papermill's description (inferred_type_name, default, help) of the parameters cell."""
    import papermill

    logging.getLogger("papermill").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        path = Path(folder) / "notebook.ipynb"
        save(notebook, path)
        found: dict[str, Any] = papermill.inspect_notebook(path)
    return found


def _about(path: Path) -> About:
    """From the YAML header. Raises Failure for a header that says what it must not."""
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        end = lines.index(_FENCE, 1)
        header = yaml.safe_load("\n".join(line[2:] for line in lines[1:end]))["jupyter"]
        said = header.get("workbench", {})
        modes = tuple(said.pop("modes", ()))
        if not set(modes) <= set(MODES):
            raise ValueError(f"modes {modes}: they are {', '.join(MODES)}")
        return About(path.stem, modes=modes, claims=tuple(said.pop("claims", ())), **said)
    except (ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise Failure(f"{path.name}: its header cannot be read: {' '.join(str(error).split())}") from error
