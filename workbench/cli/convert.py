"""`workbench convert`: the same weights in another container."""

from pathlib import Path

import click

from workbench.cli.common import emit, json_option, plain


@click.command()
@click.argument("model")
@click.option("--to", "name", required=True, help="gguf, gguf-f32, gguf-bf16, safetensors, safetensors-f32, onnx ...")
@click.option("--out", type=click.Path(path_type=Path), help="File or folder to write [default: MODEL-FORMAT].")
@click.option("--allow-pickle", is_flag=True, help="Open a .bin or .pt checkpoint: only if you trust who made it.")
@json_option
def command(model: str, name: str, out: Path | None, allow_pickle: bool, as_json: bool) -> None:
    """Convert MODEL (a shipped name, a .gguf file or a folder) to another format without quantising it.

    safetensors to GGUF and back gives the same bits at F16 and F32. `workbench quantise` is what loses some.

    \b
    Example:
      workbench convert tiny --to gguf-f32 --out tiny.gguf
      workbench convert tiny.gguf --to safetensors --out again
    """
    from workbench.flows.convert import convert_model, default_out, wanted

    form = wanted(name)
    done = convert_model(model, form, out or default_out(model, form), allow_pickle=allow_pickle)
    emit(done, as_json, lambda: f"{plain(done['path'])}: {done['bytes'] / 1e6:.2f} MB"
                                + ("" if done["exact"] else "; not every weight is exact in this type"))
