"""`workbench memory`: what a model takes, and what fits on which card."""

from typing import Any, Literal

import click

from workbench.cli.common import emit, escape, json_option
from workbench.errors import UsageError


@click.command()
@click.argument("model", required=False)
@click.option("--gpu", default=None, help="Card, chip or CPU (default: all of them, one row each).")
@click.option("--quant", default="bf16", show_default=True, help="Weight format: bf16, fp8, awq, Q8_0, Q4_K_M ...")
@click.option("--context", "context_tok", default=4096, show_default=True, help="Tokens of a request, answer included.")
@click.option("--requests", default=1, show_default=True, help="Requests of that length at the same time.")
@click.option("--kv-type", default="auto", show_default=True, help="KV cache: auto (16 bit), fp8, q8_0, q4_0 ...")
@click.option("--tp", default=1, show_default=True, help="Tensor-parallel ranks.")
@click.option("--pp", default=1, show_default=True, help="Pipeline stages.")
@click.option("--ep", default=1, show_default=True, help="Ranks that whole experts are dealt to.")
@click.option("--engine", type=click.Choice(["vllm", "llama.cpp"]), default=None,
              help="Whose rules (default: llama.cpp for GGUF formats, else vllm).")
@click.option("--utilisation", default=0.9, show_default=True, help="Share of the card that vLLM may take.")
@click.option("--graphs/--no-graphs", default=False, help="Take CUDA graphs off the KV cache, as vLLM 0.21 and later.")
@click.option("--list", "listed", is_flag=True, help="Name the models and cards that are known.")
@json_option
def command(
    model: str | None, gpu: str | None, quant: str, context_tok: int, requests: int, kv_type: str, tp: int, pp: int,
    ep: int, engine: Literal["vllm", "llama.cpp"] | None, utilisation: float, graphs: bool, listed: bool, as_json: bool,
) -> None:
    """Weights, KV cache and overheads of MODEL, and how many tokens and requests fit.

    MODEL is a name (Llama-3.1-8B) or a config.json. Derived from dimensions and datasheets, not measured; how near
    that comes to what engines report: docs/economics/memory.md.

    \b
    Example:
      workbench memory Llama-3.1-8B --gpu RTX_3060 --quant Q4_K_M --context 4096 --requests 8
    """
    from workbench.flows.memory import memory
    from workbench.hardware import accelerators, models
    from workbench.hardware.fit import Ask
    from workbench.hardware.memory import CUDA_GRAPH_BYTES, Split

    if listed:
        known = {"models": list(models.names()), "accelerators": list(accelerators.names())}
        emit(known, as_json, lambda: "\n".join(f"{kind}: {', '.join(names)}" for kind, names in known.items()))
        return
    if model is None:
        raise UsageError("which model? `workbench memory --list` names those that are known")
    ask = Ask(quant, context_tok, requests, kv_type, Split(tp, pp, ep), engine, utilisation,
              cuda_graph_bytes=CUDA_GRAPH_BYTES if graphs else 0)
    found = memory(model, gpu, ask)
    emit(found, as_json, lambda: _text(found, one=gpu is not None))


def _text(found: dict[str, Any], *, one: bool) -> Any:
    from rich.console import Group

    model, ask = found["model"], found["ask"]
    head = (f"{escape(model['name'])}: {model['params'] / 1e9:.2f} billion parameters, {ask['quant']} at "
            f"{model['bits_per_weight']:.2f} bits a weight = {model['weights_bytes'] / (1 << 30):.2f} GiB; "
            f"{model['attention']}, {model['kv_bytes_per_tok'] / 1024:.1f} KiB of KV a token ({ask['kv_type']})")
    longer = [f"Mind: {ask['context_tok']:,} tokens are more than the {model['context_tok']:,} that its config.json "
              "allows."] if ask["context_tok"] > model["context_tok"] else []
    return Group(head, "", _detail(found["cards"][0], ask) if one else _cards(found["cards"]), *longer, "",
                 "Origin: derived.")


def _detail(row: dict[str, Any], ask: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    table = Table(f"{row['n']} x {row['gpu']}, {row['engine']}", "GiB on each", box=None, padding=(0, 1))
    for name, value in row["terms_gib"].items():
        table.add_row(name.replace("_", " "), f"{value:.2f}")
    wanted = f"{ask['requests']} request{'s' if ask['requests'] > 1 else ''} of {ask['context_tok']} tokens"
    verdict = f"Fits: {wanted}; room for {row['requests']} of them, {row['kv_tok']} tokens of KV."
    if not row["fits"]:
        verdict = f"Does not fit: {wanted} lack {row['short_gib']:.2f} GiB on each card."
        verdict += f" What would fit: {'; '.join(row['remedies'])}." if row["remedies"] else " Nothing near it fits."
    ceiling = (f"At most {row['ceiling_tok_per_s']:.0f} tokens/s for one request (roofline: memory bandwidth, "
               "every active weight read once a token).")
    return Group(table, "", verdict, ceiling)


def _cards(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("card", "fits", "lacks GiB", "KV tokens", "requests", "at most tok/s for one", box=None,
                  padding=(0, 1))
    for row in rows:
        table.add_row(f"{row['n']} x {row['gpu']}", "yes" if row["fits"] else "no",
                      "" if row["fits"] else f"{row['short_gib']:.1f}", str(row["kv_tok"]), str(row["requests"]),
                      f"{row['ceiling_tok_per_s']:.0f}" if row["fits"] else "")
    return table
