"""`workbench models`: the shipped model, grown and converted."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, json_option, note, plain, progress


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


@group.command()
@click.argument("model")
@json_option
def inspect(model: str, as_json: bool) -> None:
    """Say what MODEL is and needs, from its header: a file, a folder, a shipped name, or an id.

    GGUF, safetensors (plain, GPTQ, AWQ, compressed-tensors ...) and ONNX are read; nothing is loaded.

    \b
    Example:
      workbench models inspect tiny
      workbench models inspect meta-llama/Llama-3.1-8B --json
    """
    from workbench.flows.inspect import inspect as look

    found = look(model)
    emit(found, as_json, lambda: _inspected(found))


def _inspected(found: dict[str, Any]) -> str:
    what = f"{found['form']} {found['method']}".strip()
    lines = [plain(f"{found['name']}: {what}, licence {found['licence']}")]
    if found.get("params"):
        bits = f", {found['bits_per_weight']:.2f} bits per weight" if found["bits_per_weight"] else ""
        lines.append(f"parameters: {found['params'] / 1e6:,.2f} M{bits}")
    if found.get("not_computed"):
        lines.append(f"architecture: {plain(str(found['architecture']))}; {plain(found['not_computed'])}")
    else:
        lines.append(f"architecture: {found['layers']} layers of {found['hidden']}, {found['heads']} heads, "
                     f"{found['kv_heads']} KV heads, vocabulary {found['vocab']:,}, context {found['context_tok']:,}")
        lines.append(f"KV cache: {found['kv_bytes_per_tok']:,.0f} bytes a token (16 bits)")
    lines += [f"needs: {_need(name, value)}" for name, value in found["needs"].items()]
    if found["engines"]:
        lines.append("who reads this format, as tried with the shipped model (whose perplexity it is):")
    lines += [plain(f"{at['engine']}{'' if at['here'] else ' (not here)'}: {at['says']}") for at in found["engines"]]
    return "\n".join(lines)


def _need(name: str, value: Any) -> str:
    what = name.removesuffix("_bytes").removeprefix("bytes_").replace("_bytes_", " ").replace("_", " ")
    return str(value) if isinstance(value, str) else f"{value / 1e6:,.1f} MB, {what}"


@group.command()
@click.argument("model_id")
@click.option("--revision", default="main", show_default=True, help="Branch, tag or commit; its commit is recorded.")
@click.option("--only", default="", help="Which weights, such as '*Q4_K_M.gguf' [default: all safetensors and GGUF].")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write [default: the model's name].")
@click.option("--yes", is_flag=True, help="Do not ask: the licence and the size were read.")
@json_option
def get(model_id: str, revision: str, only: str, out: Path | None, yes: bool, as_json: bool) -> None:
    """Download MODEL_ID from the hub: safetensors and GGUF only, every file hashed, the revision pinned.

    Interrupted, it goes on where it stopped. HF_ENDPOINT names another hub, HF_TOKEN is for gated models.

    \b
    Example:
      workbench models get HuggingFaceTB/SmolLM2-135M --out smollm2
      workbench models get OWNER/NAME --revision 0123abc --only '*Q4_K_M.gguf' --yes
    """
    from workbench.models import hub
    from workbench.paths import refuse_used

    target = out or Path(model_id.rpartition("/")[2])
    refuse_used(target)
    remote = hub.look(model_id, revision, only)
    note(f"{remote.name} at {remote.commit[:12]}: licence {remote.licence}{', gated' if remote.gated else ''}; "
         f"{len(remote.files)} files, {remote.bytes / 1e6:,.1f} MB")
    if not yes:
        click.confirm("Fetch it?", abort=True, err=True)
    with progress(max(remote.bytes, 1), f"fetching {model_id}") as shown:
        told = hub.fetch(remote, target, lambda _name, done, _total: shown.update(done))
    emit(asdict(told) | {"out": target.name}, as_json,
         lambda: f"{plain(target.name)}: {told.bytes / 1e6:,.1f} MB of weights; {len(told.files)} files as announced")
