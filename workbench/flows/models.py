"""The shipped model: list it, grow it, convert it."""

from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.paths import shown


def list_models() -> list[dict[str, Any]]:
    """What ships, from its own files."""
    from workbench.models.shipped import SHIPPED, resolve, shipped_folder

    folder = resolve(SHIPPED)
    size = sum(item.stat().st_size for item in shipped_folder().iterdir() if item.is_file())
    return [{
        "name": SHIPPED, "params": folder.arch.params, "bytes": size, "licence": "Apache-2.0",
        "card": "datasets/models/tiny/README.md",
        "kv_bytes_per_tok": folder.arch.kv_bytes_per_tok,
    }]


def grow(model: str, params: str, out: Path) -> dict[str, Any]:
    """A larger model with the same answers, as a safetensors folder; says what size it became."""
    from dataclasses import asdict

    from workbench.models.grow import grow_to_folder

    _fresh(out)
    from workbench.models.shipped import resolve

    report = grow_to_folder(resolve(model).path, params, out)
    return {key: shown(value) if isinstance(value, Path) else value for key, value in asdict(report).items()}


def convert(model: str, quant: str, out: Path) -> dict[str, Any]:
    """A GGUF file of a model in one format."""
    from workbench.models import find
    from workbench.models.convert import convert as write_gguf
    from workbench.models.formats import checked
    from workbench.models.shipped import resolve

    _fresh(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_gguf(resolve(model), checked(quant), out)
    found = find(str(out))
    return {"path": shown(out), "quant": found.quant, "params": found.params, "bytes": found.bytes,
            "weights_id": found.weights_id, "bits_per_weight": 8 * found.bytes / found.params}


def _fresh(out: Path) -> None:
    if out.exists():
        raise UsageError(f"{out}: is there already; name another place or remove it")
