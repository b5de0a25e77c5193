"""Which profile file a configuration or a command means."""

import difflib
from functools import cache
from pathlib import Path

from workbench import paths
from workbench.errors import ConfigError, UsageError


def shipped() -> dict[str, Path]:
    """Every profile that ships, by name: datasets/profiles/**/NAME.json."""
    return _shipped(paths.datasets() / "profiles")


@cache
def _shipped(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.rglob("*.json"))}


def profile_path(text: str, base: Path, file: str, key: str) -> Path:
    """A file relative to `base`, or the name of a profile that ships.

    Never outside the configuration's folder and the working folder: a configuration may come from elsewhere.
    `file` and `key` are how errors call the place.
    """
    path = (base / text).resolve()
    if path.is_file():
        if any(path.is_relative_to(folder.resolve()) for folder in (base, Path.cwd(), paths.datasets() / "profiles")):
            return path
        raise ConfigError(file, key, f"{text!r} leads out of the file's folder",
                          "copy the profile beside it, or run from a folder that holds both")
    if (named := shipped().get(text)) is not None:
        return named
    raise ConfigError(file, key, f"{text}: no such file here, and no profile that ships{_near(text)}",
                      "`workbench profile list` shows those; `workbench profile fit` writes one")


def given_path(text: str) -> Path:
    """What a command line means: a file, or the name of a profile that ships."""
    path = Path(text)
    if path.is_file() or path.suffix or len(path.parts) > 1:
        if text in shipped():  # a dot in a name is no suffix
            return shipped()[text]
        return path
    if (named := shipped().get(text)) is not None:
        return named
    raise UsageError(f"{text}: no such file, and no profile that ships{_near(text)}; "
                     "`workbench profile list` shows them")


def _near(text: str) -> str:
    near = difflib.get_close_matches(text, shipped(), n=3)
    return f" (did you mean {', '.join(near)}?)" if near else ""
