"""Where things are: the checkout (or the wheel's data), the caches, and the default output folders."""

import os
from datetime import UTC, datetime
from functools import cache as memoise
from pathlib import Path

from workbench.errors import Failure, UsageError

PROJECT = "inference-workbench"


@memoise
def root() -> Path | None:
    """The checkout's root, or None when running from a wheel."""
    candidate = Path(__file__).resolve().parent.parent
    return candidate if (candidate / "pyproject.toml").is_file() else None


def data(name: str) -> Path:
    """A folder of shipped data: `datasets`, `notebooks`, `examples` or `scenarios`.

    In a checkout it lies at the top level (`scenarios` under sims/), in a wheel under workbench/_data.
    """
    top = root()
    if top is not None:
        return top / ("sims/scenarios" if name == "scenarios" else name)
    folder = Path(__file__).resolve().parent / "_data" / name
    if not folder.is_dir():
        raise Failure(f"shipped data {name!r} is missing from this installation; reinstall {PROJECT}")
    return folder


def datasets() -> Path:
    return data("datasets")


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    base = Path(value) if value.startswith("/") else Path.home() / default  # XDG: relative values are ignored
    return base / PROJECT


def cache() -> Path:
    """Rebuildable files: converted models, layouts. Created on first use."""
    folder = _xdg("XDG_CACHE_HOME", ".cache")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def environments() -> Path:
    """Engines' and quantisers' own environments: engines/envs in a checkout, below a wheel's user's cache folder."""
    named, top = os.environ.get("WORKBENCH_ENGINES", ""), root()
    if named:
        return Path(named)
    return top / "engines" / "envs" if top is not None else cache() / "engines" / "envs"


def runs() -> Path:
    """Default output folder for run logs and profiles: `runs/` in the working folder."""
    return Path.cwd() / "runs"


def stamped(stem: str, suffix: str = "") -> Path:
    """An unused default output name: `runs/STEM-TIME` in UTC, with a number where two start in the same second."""
    name = f"{stem}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    found, number = runs() / f"{name}{suffix}", 1
    while found.exists():
        number += 1
        found = runs() / f"{name}-{number}{suffix}"
    return found


def refuse_used(folder: Path) -> None:
    """An output folder must be new or empty: two runs never mix, and nothing is replaced."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is there already; choose another with --out")


def reports() -> Path:
    """Default output folder for reports: `reports/` in the working folder."""
    return Path.cwd() / "reports"


def public_data() -> Path | None:
    """The folder of public measured data that WORKBENCH_DATA names, if it is there."""
    value = os.environ.get("WORKBENCH_DATA", "")
    folder = Path(value) if value else None
    return folder if folder is not None and folder.is_dir() else None


def inside(folder: Path, name: str) -> Path:
    """`folder / name`, refused when it would leave the folder (`..`, absolute names, links out)."""
    resolved = (folder / name).resolve()
    if not resolved.is_relative_to(folder.resolve()):
        raise UsageError(f"{name!r} leads out of {folder.name}/; use a plain name")
    return resolved


def shown(path: Path) -> str:
    """A path as it may be stored or shown: relative to the working folder, else its name alone."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except ValueError:
        return path.name
