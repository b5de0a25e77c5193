"""Which scenario file a command means: a file, or one that ships, as profiles are found by name."""

from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from pathlib import Path, PurePath

from workbench import paths
from workbench.errors import UsageError

SHOWN = PurePath("sims/scenarios")  # how the folder is called in a checkout, the documentation and messages


def shipped() -> dict[str, Path]:
    """Every scenario that ships, by its path below sims/scenarios, such as plane/platform.toml."""
    return _shipped(paths.data("scenarios"))


@cache
def _shipped(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.toml"))}


def given(path: Path, on_note: Callable[[str], None] | None = None) -> Path:
    """The file itself where it is there; else the shipped one of that name, with or without .toml and with or without
    its folder, said to `on_note`. UsageError with near matches where neither is."""
    if path.exists():
        return path
    wanted = path if path.suffix == ".toml" else path.with_name(f"{path.name}.toml")
    for below, found in shipped().items():
        full = SHOWN / below
        if not wanted.is_absolute() and full.parts[-len(wanted.parts):] == wanted.parts:
            if on_note is not None:
                on_note(f"using the shipped {full}")
            return found
    near = get_close_matches(wanted.name, [PurePath(one).name for one in shipped()], n=3)
    hint = f" (did you mean {', '.join(near)}?)" if near else ""
    raise UsageError(f"{path}: no such file, and no scenario that ships{hint}; `workbench init --help` writes an "
                     "example")
