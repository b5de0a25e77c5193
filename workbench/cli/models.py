"""`workbench models`: the shipped model, grown and converted."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, json_option, plain


@click.group()
def group() -> None:
    """The model that ships: list it, grow it without changing its answers, convert it to GGUF.

    \b
    Example:
      workbench models grow tiny --params 27M --out big
    """


@group.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the model that ships and what was made from it, with sizes.

    \b
    Example:
      workbench models list --json
    """
    from workbench.models import list_models

    found = list_models()
    emit({"models": [asdict(item) for item in found]}, as_json, lambda: "\n".join(
        f"{plain(item.name)} {item.quant}: {item.params / 1e6:.2f} M parameters, "
        f"{item.bytes / 1e6:.1f} MB, {plain(item.note)}"
        for item in found
    ))


@group.command()
@click.argument("model")
@click.option("--params", required=True, help="Target size, such as 27M.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@json_option
def grow(model: str, params: str, out: Path, as_json: bool) -> None:
    """Make a larger MODEL that computes exactly the same function (zero-output layers and columns).

    \b
    Example:
      workbench models grow tiny --params 27M --out grown
    """
    from workbench.models import grow_to_folder
    from workbench.models.grow import parse_params

    _report(asdict(grow_to_folder(model, parse_params(params), out)), as_json)


@group.command()
@click.argument("model")
@click.option("--to", "quant", required=True, help="GGUF type: F16, BF16, F32, Q8_0, Q5_0, Q4_0 ...")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="GGUF file to write.")
@json_option
def convert(model: str, quant: str, out: Path, as_json: bool) -> None:
    """Convert MODEL (a shipped name or a safetensors folder) to a GGUF file.

    \b
    Example:
      workbench models convert tiny --to Q8_0 --out tiny-q8.gguf
    """
    from workbench.models import convert_to_file

    _report(asdict(convert_to_file(model, quant, out)), as_json)


def _report(found: dict[str, Any], as_json: bool) -> None:
    found = {key: value.name if isinstance(value, Path) else value for key, value in found.items()}
    emit(found, as_json, lambda: "\n".join(f"{plain(str(key))}: {plain(str(value))}" for key, value in found.items()))
