"""A model as a folder: config.json, safetensors, tokenizer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.files import read_json
from workbench.models import arch as architecture
from workbench.models import layout, pickled, provenance
from workbench.models.arch import Architecture
from workbench.models.grow import GrownTensors, UngrownTensors, adds_nothing
from workbench.models.tensors import INDEX, SINGLE, SafetensorsFolder, Tensors

GROWN_KEY = "inference_workbench_grown"  # in a grown folder's config.json: {"from", "layers", "feed_forward"}
RECIPE_KEY = "inference_workbench_recipe"  # in a computed folder's config.json, see ModelFolder.recipe
NEEDED = ("config.json", "tokenizer.json")
OPTIONAL = ("tokenizer_config.json", "generation_config.json")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a grown model was grown from."""

    name: str
    arch: Architecture


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """Weights and architecture of `name`; the tokenizer's files lie in `path`."""

    name: str
    path: Path
    arch: Architecture
    tensors: Tensors
    origin: Origin | None = None
    recipe: str = ""  # of weights that are computed and lie in no file: what decides them

    @property
    def tokenizer_path(self) -> Path:
        return self.path / "tokenizer.json"

    @property
    def ungrown(self) -> Tensors:
        return self.tensors if self.origin is None else UngrownTensors(self.tensors, self.origin.arch)

    @property
    def ungrown_shapes(self) -> dict[str, tuple[int, ...]]:
        return layout.shapes(self.arch if self.origin is None else self.origin.arch)


def open_folder(path: Path, name: str | None = None) -> ModelFolder:
    """Checks that everything is there and that the weights are those the config tells of."""
    provenance.check(path)
    for needed in NEEDED:
        if not (path / needed).is_file():
            raise UsageError(f"{path}: has no {needed}; a model folder holds {', '.join(NEEDED)} and {SINGLE}")
    if not (path / SINGLE).is_file() and not (path / INDEX).is_file():
        pickled.refuse(path)
        raise UsageError(f"{path}: has no {SINGLE}; save the model with safetensors")
    config = read_json(path / "config.json")
    where = f"{path.name}/config.json"
    arch = architecture.from_config(config, where)
    tensors = SafetensorsFolder(path)
    _check_shapes(tensors.shapes, arch, path.name)
    return ModelFolder(name or path.name, path, arch, tensors, _origin(config, arch, tensors, where))


def _check_shapes(found: dict[str, tuple[int, ...]], arch: Architecture, name: str) -> None:
    if arch.layers * 9 > len(found):  # before a table of millions of names is made for a lying config
        raise Failure(f"{name}: {len(found)} tensors, but config.json tells of {arch.layers} layers")
    expected = layout.shapes(arch)
    for tensor, shape in expected.items():
        if found.get(tensor) != shape:
            raise Failure(f"{name}: tensor {tensor}: {found.get(tensor)}, but config.json asks for {shape}")
    extra = sorted(set(found) - set(expected) - {layout.HEAD})
    if extra:
        raise Failure(f"{name}: tensor {extra[0][:80]!r} has no place in this architecture")


def _origin(config: dict[str, Any], arch: Architecture, tensors: Tensors, where: str) -> Origin | None:
    grown = config.get(GROWN_KEY)
    if grown is None:
        return None
    fields = grown if isinstance(grown, dict) else {}
    name, layers, width = fields.get("from"), fields.get("layers"), fields.get("feed_forward")
    if not isinstance(name, str) or not isinstance(layers, int) or not isinstance(width, int):
        raise Failure(f"{where}: {GROWN_KEY}: damaged; grow the model again")
    if not (0 < layers <= arch.layers and 0 < width <= arch.feed_forward):
        raise Failure(f"{where}: {GROWN_KEY}: {layers} layers of {width} do not fit into this model")
    base = replace(arch, layers=layers, feed_forward=width)
    if not adds_nothing(tensors, base, arch):
        raise Failure(f"{where}: {GROWN_KEY}: the added weights change the answers; grow the model again")
    return Origin(name, base)


def grown(base: ModelFolder, target: Architecture, name: str) -> ModelFolder:
    """`base` at the size of `target`, without writing anything."""
    if base.origin is not None:
        raise UsageError(f"{base.name}: is grown already; grow from {base.origin.name} instead")
    return ModelFolder(name, base.path, target, GrownTensors(base.tensors, base.arch, target),
                       Origin(base.name, base.arch))
