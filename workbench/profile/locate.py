"""Which profile file a configuration means."""

from pathlib import Path

from workbench import paths
from workbench.errors import ConfigError


def profile_path(text: str, base: Path, file: str, key: str) -> Path:
    """A file relative to `base`, or the name of a profile that ships (datasets/profiles/NAME.json).

    Never outside the configuration's folder and the working folder: a configuration may come from elsewhere.
    `file` and `key` are how errors call the place.
    """
    shipped = paths.datasets() / "profiles"
    path = (base / text).resolve()
    if path.is_file():
        if any(path.is_relative_to(folder.resolve()) for folder in (base, Path.cwd(), shipped)):
            return path
        raise ConfigError(file, key, f"{text!r} leads out of the file's folder",
                          "copy the profile beside it, or run from a folder that holds both")
    named = shipped / f"{text}.json"
    if "/" not in text and named.is_file():
        return named
    names = ", ".join(sorted(item.stem for item in shipped.glob("*.json"))) or "none"
    raise ConfigError(file, key, f"{text}: no such file here, and no profile that ships ({names})",
                      "`workbench profile fit` writes one")
