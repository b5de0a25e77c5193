"""TOML files become frozen pydantic models; what is wrong is one line naming file, key, value and remedy."""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from workbench.errors import ConfigError, UsageError


class Settings(BaseModel):
    """Base of every configuration: frozen, and an unknown key is an error, not a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)
_KEY = re.compile(r"((?:[a-z_]+(?=: ))|(?:[a-z_]+(?:\.[\w*@-]+)+))[: ] ?")


def load(kind: type[S], path: Path) -> S:
    """Read one TOML file as `kind`; raises UsageError or ConfigError."""
    return parse(kind, read_text(path), path.name)


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file; `workbench init --help` writes an example") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read as text: {error}") from error


def parse(kind: type[S], text: str, name: str) -> S:
    """Parse TOML text as `kind`; `name` is how errors call the file."""
    return validate(kind, table(text, name), name)


def table(text: str, name: str) -> dict[str, Any]:
    """TOML text as a plain mapping, for files whose keys are not known beforehand."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name}: not valid TOML: {error}") from error


def validate(kind: type[S], raw: Mapping[str, Any], name: str) -> S:
    """Validate a mapping as `kind`; one problem at a time is shown."""
    try:
        return kind.model_validate(dict(raw))
    except ValidationError as error:
        found = error.errors(include_url=False)  # a misspelt key explains the missing one: it goes first
        first = next((item for item in found if item["type"] == "extra_forbidden"), found[0])
        raise _explain(kind, name, _written(first["loc"], raw), first) from None


@contextmanager
def told_of(name: str) -> Iterator[None]:
    """What is found wrong with a file's values only later (a price that no table has) names the file as well."""
    try:
        yield
    except UsageError as error:
        if str(error).startswith(f"{name}: "):
            raise
        raise UsageError(f"{name}: {error}") from error


def _written(location: tuple[Any, ...], raw: Any) -> tuple[Any, ...]:
    """The location as the user wrote it: pydantic puts the discriminator's value of each tagged union into it."""
    kept, here = [], raw
    for part in location:
        if isinstance(here, Mapping) and part not in here and part in (here.get("kind"), here.get("name")):
            continue
        kept.append(part)
        inside = part in here if isinstance(here, Mapping) else isinstance(here, list | tuple) and isinstance(part, int)
        here = here[part] if inside else None
    return tuple(kept)


def _explain(kind: type[Settings], name: str, location: tuple[Any, ...], first: Any) -> ConfigError:
    key = _dotted(location) or "(top level)"
    if first["type"] == "extra_forbidden":
        known = _known_keys(kind, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
        return ConfigError(name, key, "unknown key", remedy)
    if first["type"] == "missing":
        return ConfigError(name, key, "required key is missing", f"add `{location[-1]} = ...`")
    message = str(first["msg"]).removeprefix("Value error, ")
    if not location and (told := _KEY.match(message)) and told[1].split(".")[0] in kind.model_fields:
        return ConfigError(name, told[1], message[told.end():])  # of the whole: it says itself which key is wrong
    shown = "" if isinstance(first["input"], Mapping) else f"{first['input']!r}: "
    return ConfigError(name, key, shown + message[:1].lower() + message[1:])


def _dotted(location: tuple[Any, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text


def _known_keys(kind: type[Settings], location: tuple[Any, ...]) -> set[str]:
    """The keys allowed at a place: follow the location through nested models."""
    models: list[type[BaseModel]] = [kind]
    for part in location:
        if isinstance(part, int):
            continue
        found = [m for model in models for m in _models_in(model, str(part))]
        models = found or models
    return {key for model in models for key in model.model_fields}


def _models_in(model: type[BaseModel], key: str) -> list[type[BaseModel]]:
    field = model.model_fields.get(key)
    if field is None:
        return []
    stack: list[Any] = [field.annotation]
    found: list[type[BaseModel]] = []
    while stack:
        item = stack.pop()
        if isinstance(item, type) and issubclass(item, BaseModel):
            found.append(item)
        stack.extend(get_args(item))
    return found
