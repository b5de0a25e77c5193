"""`workbench quantise`: a model in fewer bits, checked in every engine that reads it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, json_option, note, plain, progress


@click.command()
@click.argument("model", required=False)
@click.option("--to", "name", help="Method: Q4_K_M, Q8_0, gptq, awq, w8a8, fp8, onnx-int4 ... (--list shows all).")
@click.option("--out", type=click.Path(path_type=Path), help="File or folder to write [default: MODEL-METHOD].")
@click.option("--calibration", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help='Text, or .jsonl with "text" [default: the little world].')
@click.option("--calibration-rows", default=64, show_default=True, type=click.IntRange(1, 4096))
@click.option("--calibration-tokens", default=256, show_default=True, type=click.IntRange(8, 32768),
              help="Length of a row.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@click.option("--importance", is_flag=True, help="K-quants: weigh errors by an importance matrix.")
@click.option("--keep", is_flag=True, help="Keep a result that an engine reads as another model.")
@click.option("--fetch", is_flag=True, help="Get a prebuilt llama.cpp for K-quants, if none is here.")
@click.option("--install", is_flag=True, help="Build the method's own environment, if it is not here.")
@click.option("--list", "listed", is_flag=True, help="List the methods and stop.")
@json_option
def command(model: str | None, name: str | None, listed: bool, as_json: bool, **given: Any) -> None:
    """Quantise MODEL (a shipped name or a safetensors folder) and compare its perplexity in each engine at once.

    A result carries its provenance: bits per weight, bytes, method, library, calibration, seed, hashes, reloads.
    Interrupted, it goes on where it stopped when the same command is run again.

    \b
    Example:
      workbench quantise tiny --to Q4_K_M --fetch
      workbench quantise tiny --to gptq --install
      workbench quantise --list
    """
    from workbench.flows.quantise_methods import methods

    if listed:
        rows = methods()
        emit({"methods": rows}, as_json, lambda: "\n".join(
            f"{row['name']:14} {row['title']}: {row['state']}" for row in rows))
        return
    if model is None or name is None:
        raise click.UsageError("give MODEL and --to METHOD; --list shows the methods")
    _run(model, name, as_json, **given)


def _run(model: str, name: str, as_json: bool, *, out: Path | None, calibration: Path | None, calibration_rows: int,
         calibration_tokens: int, seed: int, importance: bool, keep: bool, fetch: bool, install: bool) -> None:
    from workbench.flows.quantise import Order, default_out, quantise_model
    from workbench.models.quantise import find

    method = find(name)
    if fetch:
        _fetch(method)
    if install:
        _install(method)
    order = Order(model, method, out or default_out(model, method), calibration, calibration_rows, calibration_tokens,
                  seed, importance, keep)
    told = quantise_model(order, note)
    emit(asdict(told) | {"out": order.out.name}, as_json, lambda: _shown(order.out.name, told))


def _fetch(method: Any) -> None:
    from workbench.models.formats import K_QUANTS
    from workbench.models.quantise import llama_tool, prebuilt

    if method.name in K_QUANTS and not llama_tool.available():
        note(prebuilt.announcement())
        prebuilt.fetch()


def _install(method: Any) -> None:
    from workbench.flows import quantise_environments

    if method.environment and not quantise_environments.ready(method.environment):
        note(f"{method.environment}: {quantise_environments.announcement(method)}")
        with progress(100, f"installing {method.environment}") as shown:
            quantise_environments.build(method, lambda done, total: shown.update(100 * done // max(total, 1)))


def _shown(name: str, told: Any) -> str:
    lines = [f"{plain(name)}: {told.method}, {told.bits_per_weight:.2f} bits per weight, {told.bytes / 1e6:.2f} MB"]
    if "original" in told.source:
        lines.append(f"perplexity of the original: {told.source['original']:.4f}")
    for row in told.reloads:
        said = row.get("words") or row.get("refused") or row.get("untried")
        lines.append(f"{row['engine']}: {plain(str(said))}")
    return "\n".join(lines)
