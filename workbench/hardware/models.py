"""Any model whose bytes are known: the table, the shipped config files, or a config.json of the user's own."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from workbench import files
from workbench.errors import UsageError
from workbench.hardware import architecture
from workbench.hardware.architecture import Architecture
from workbench.hardware.model_config import from_config, from_mapping
from workbench.hardware.table import lookup, plain
from workbench.paths import datasets


def find(name: str) -> Architecture:
    """By name or alias, or the path of a config.json; latent attention and sliding windows included."""
    if name.endswith(".json"):
        if not Path(name).is_file():
            raise UsageError(f"{name}: no such file; give a model's config.json or a name of datasets/models")
        return from_config(Path(name), wider=True)
    table, aliases = _wider()
    wanted = plain(name.rsplit("/", 1)[-1])
    if wanted in aliases:
        return table[aliases[wanted]]
    try:
        return architecture.find(name)
    except UsageError:
        every = {**aliases, **{plain(one.rsplit("/", 1)[-1]): one for one in architecture.names()}}
        known = {**table, **{one: architecture.find(one) for one in architecture.names()}}
        return lookup(known, every, name.rsplit("/", 1)[-1], "model", "`workbench memory --list` names them all, and "
                      "a config.json file is read too")


def names() -> tuple[str, ...]:
    return (*architecture.names(), *_wider()[0])


@cache
def _wider() -> tuple[Mapping[str, Architecture], Mapping[str, str]]:
    """Shipped config files: architectures by name, names by plain alias."""
    table: dict[str, Architecture] = {}
    aliases: dict[str, str] = {}
    for path in sorted((datasets() / "models" / "configs").glob("*.json")):
        raw = files.read_json(path)
        table[path.stem] = from_mapping(raw, path.name, path.stem, wider=True)
        aliases |= {plain(alias): path.stem for alias in raw["aliases"]}
    return MappingProxyType(table), MappingProxyType(aliases)
