"""What `workbench models list | grow | convert` do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.errors import Failure, UsageError
from workbench.models.convert import Converted
from workbench.models.folder import ModelFolder, grown, open_folder
from workbench.models.formats import checked
from workbench.models.forward import Llama
from workbench.models.gguf_header import read_gguf_header
from workbench.models.grow import plan
from workbench.models.quantise import gguf_file
from workbench.models.shipped import SHIPPED, quant_of, resolve, shipped_folder
from workbench.models.tensors import SINGLE
from workbench.models.untrained import NAME, SHAPE
from workbench.models.written import write_folder
from workbench.paths import cache

_PROBE_TOK = 48  # tokens on which a grown model is held against the one it grew from


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of `workbench models list`. `where` is a file name, never a path."""

    name: str
    quant: str
    params: int
    bytes: int
    where: str
    note: str


def list_models() -> list[Listed]:
    """The model that ships, then what was made from it or others and lies in the cache."""
    shipped = open_folder(shipped_folder(), SHIPPED)
    size_bytes = (shipped.path / SINGLE).stat().st_size
    found = [Listed(SHIPPED, "F16", shipped.arch.params, size_bytes, SINGLE, f"ships; grows to {SHIPPED}-<N>m"),
             Listed(NAME, "F16", SHAPE.params, 0, "", "random weights, computed when it is asked for")]
    for path in sorted((cache() / "models").glob("*.gguf")):
        try:
            header = read_gguf_header(path)
        except Failure as error:
            found.append(Listed(path.stem, "?", 0, path.stat().st_size, path.name, str(error)))
            continue
        name = str(header.metadata.get("general.name", path.stem))
        found.append(Listed(name, quant_of(header), header.params, path.stat().st_size, path.name, "cached"))
    return found


@dataclass(frozen=True, slots=True)
class GrowReport:
    """What growing gave. `max_logit_difference` is against the model it grew from; 0.0 or it is not written."""

    path: Path
    grown_from: str
    asked_params: int
    params: int
    layers: int
    feed_forward: int
    bytes: int
    max_logit_difference: float


def grow_to_folder(source: str, params: int, out: Path) -> GrowReport:
    """Write a larger model with the same answers as an F16 safetensors folder."""
    base = resolve(source)
    target = plan(base.arch, params)
    _refuse_existing(out)
    bigger = grown(base, target, out.name)
    difference = logit_difference(base, bigger)
    if difference != 0.0:
        raise Failure(f"{out.name}: the grown model's logits differ by {difference}; nothing was written")
    write_folder(bigger, out)
    return GrowReport(out, base.name, params, target.params, target.layers, target.feed_forward,
                      (out / SINGLE).stat().st_size, difference)


def logit_difference(one: ModelFolder, other: ModelFolder) -> float:
    """Largest absolute difference of logits on one fixed row of tokens, in float32."""
    ids = (np.arange(_PROBE_TOK) * 7919 % one.arch.vocab)[None, :]
    first, second = (Llama(folder.arch, folder.tensors).logits(ids) for folder in (one, other))
    return float(np.abs(first - second).max())


def convert_to_file(source: str, quant: str, out: Path) -> Converted:
    """A model by name or folder as a .gguf file of your own (`find` makes cached ones)."""
    if out.suffix != ".gguf":
        raise UsageError(f"{out.name}: give a name that ends in .gguf")
    _refuse_existing(out)
    return gguf_file.make(resolve(source), checked(quant), out)


def _refuse_existing(out: Path) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out.name}: exists already; remove it or choose another name")
