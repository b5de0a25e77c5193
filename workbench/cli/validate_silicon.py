"""`workbench validate silicon`: published serving runs against closed loops on kernel profiles."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note, progress


@click.command()
@click.option("--sample", type=click.Path(path_type=Path),
              help="CSV to read (default: the one in aiconfigurator-core).")
@click.option("--engine", help="Only rows of this engine: vllm, sglang or trtllm.")
@click.option("--gpu", help="Only rows of this GPU, such as h100_sxm.")
@click.option("--model", help="Only rows of this model, as the sample names it.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many rows, some of every engine, GPU and model.")
@click.option("--pools", type=click.IntRange(min=0), default=30, show_default=True,
              help="At most so many rows where prefill and decode run on separate engines: they take seconds each.")
@click.option("--prompts-per-seat", type=click.IntRange(min=2), default=10, show_default=True,
              help="Length of each closed loop; the benchmark behind the sample sends 10.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the figures as JSON too.")
@json_option
def command(
    sample: Path | None, engine: str | None, gpu: str | None, model: str | None, limit: int | None,
    pools: int, prompts_per_seat: int, out: Path | None, as_json: bool,
) -> None:
    """Compare measured serving runs that NVIDIA publishes with the simulator on silicon profiles.

    Duplicates and rows without workers or batch are left out and counted, as are those that the kernel database
    cannot model. All rows take minutes; --limit takes a part of every kind.

    \b
    Example:
      workbench validate silicon --engine vllm --gpu h100_sxm
      workbench validate silicon --limit 100 --json
    """
    from workbench.files import write_json
    from workbench.flows.validate_silicon import validate_silicon

    with progress(limit or 3000, "closed loops") as bar:
        def on_cell(done: int, of: int) -> None:
            bar.total = of
            bar.update(done)

        found = validate_silicon(sample, engine=engine, gpu=gpu, model=model, limit=limit, pools=pools,
                                 prompts_per_seat=prompts_per_seat, on_cell=on_cell)
    if out is not None:
        write_json(out, found)
        note(f"wrote {out.name}")
    emit(found, as_json, lambda: silicon_table(found))


def silicon_table(found: dict[str, Any]) -> Any:
    """A row per engine and GPU, and what was left out."""
    from rich.console import Group
    from rich.table import Table

    table = Table("engine", "GPU", "n", "TPOT MAPE", "median", "bias", "TTFT MAPE", "median", "bias", box=None)
    for row in [*found["groups"], {"engine": "all", "gpu": "", **found["overall"]}]:
        if row["n"]:
            table.add_row(escape(row["engine"]), escape(row["gpu"]), str(row["n"]), *_cells(row["tpot_s"]),
                          *_cells(row["ttft_s"]))
    apart = found["two_pools"]
    if apart["n"]:
        table.add_row("separate pools", "", str(apart["n"]), *_cells(apart["tpot_s"]), *_cells(apart["ttft_s"]))
    left = ", ".join(f"{n} {name}" for name, n in found["left_out"].items())
    lines = [f"{found['rows']} rows; left out: {left}; of {found['chosen']} chosen {found['simulated']} simulated "
             f"in {found['cpu_s']:.0f} CPU-seconds"]
    lines += [f"not modelled: {item['n']} {escape(item['reason'])}" for item in found["not_modelled"]]
    noise = found["noise"]
    lines.append(f"noise floor, {noise['tpot_s']['configurations']} repeated configurations: "
                 f"TPOT {noise['tpot_s']['mape_frac']:.1%}, TTFT {noise['ttft_s']['mape_frac']:.1%}")
    return Group(table, "", *lines)


def _cells(block: dict[str, float]) -> list[str]:
    return [f"{block['mape_frac']:.0%}", f"{block['median_ape_frac']:.0%}", f"{block['bias_frac']:+.0%}"]
