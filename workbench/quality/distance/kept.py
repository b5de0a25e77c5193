"""Base distributions on disk: computed once, named by everything that decides them, used again."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from workbench.errors import Failure
from workbench.files import atomic
from workbench.paths import cache
from workbench.quality.distance.expected import Expected

KIND, SCHEMA = "workbench.quality-base", 1


@dataclass(frozen=True, slots=True)
class Source:
    """What the numbers of a distribution depend on."""

    model: str
    weights_id: str
    quant: str
    kv_type: str
    engine: str
    version: str
    way: str  # how it was asked: another way rounds otherwise
    text_sha256: str
    gpus: int = 1  # that share each layer: sums in another order

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps([SCHEMA, *asdict(self).values()]).encode()).hexdigest()[:16]

    @property
    def path(self) -> Path:
        return cache() / "quality" / f"base-{self.key}.safetensors"


def write(found: Expected, source: Source, path: Path, provenance: dict[str, Any]) -> None:
    """Arrays, and in the file's own header where they come from."""
    arrays: dict[str, np.ndarray[Any, Any]] = {"logprob": found.logprob, "target": found.target}
    if found.ids is not None:
        arrays["ids"] = found.ids
    head = {"kind": KIND, "schema": SCHEMA, "source": asdict(source), "provenance": provenance}
    with atomic(path, durable=True) as temporary:
        save_file(arrays, temporary, metadata={"workbench": json.dumps(head)})


def read(path: Path) -> tuple[Expected, Source]:
    """Raises Failure naming the file where it is damaged, something else, or of a newer version."""
    try:
        with safe_open(path, framework="numpy") as file:
            head = json.loads((file.metadata() or {}).get("workbench", "{}"))
            if head.get("kind") != KIND:
                raise Failure(f"{path.name}: not a base of `workbench quality distance`; remove it")
            if not isinstance(head.get("schema"), int) or not 1 <= head["schema"] <= SCHEMA:
                raise Failure(f"{path.name}: base schema {head.get('schema')!r}; this version reads 1 to {SCHEMA}; "
                              "upgrade the workbench")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
        return Expected(arrays["logprob"], arrays["target"], arrays.get("ids")), Source(**head["source"])
    except FileNotFoundError:
        raise Failure(f"{path.name}: no such base") from None
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise Failure(f"{path.name}: damaged base ({type(error).__name__}); remove it, it is made again") from error


def find(source: Source) -> Expected | None:
    """The kept distribution of exactly this source; a damaged file counts as none and is made again."""
    if not source.path.is_file():
        return None
    try:
        found, said = read(source.path)
    except Failure:
        return None
    return found if said == source else None
