"""`workbench profile list` and `export`: the profiles that ship, and any profile as CSV."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.common import emit, escape, json_option, note

if TYPE_CHECKING:
    from workbench.profile.listing import Listed


@click.command("list")
@click.option("--source", default="", help="Only this source: measured, silicon, imported, roofline or derived.")
@click.option("--model", default="", help="Only models whose name contains this.")
@click.option("--gpu", default="", help="Only GPUs (or machines) whose name contains this.")
@json_option
def list_profiles(source: str, model: str, gpu: str, as_json: bool) -> None:
    """List the profiles that ship: source, GPU, split, quantisation, KV blocks, best decode rate.

    \b
    Example:
      workbench profile list --model llama-3.1-70b --gpu h100
    """
    from workbench.errors import UsageError
    from workbench.profile.listing import listing
    from workbench.profile.locate import shipped

    rows = listing(shipped(), source=source, model=model, gpu=gpu)
    if not rows and (source or model or gpu):
        asked = " ".join(f"--{name} {value}" for name, value in
                         (("source", source), ("model", model), ("gpu", gpu)) if value)
        raise UsageError(f"no profile that ships matches {asked}; "
                         "`workbench profile list` shows all")
    emit({"profiles": [row.as_dict() for row in rows]}, as_json, lambda: _table(rows))


def _table(rows: "list[Listed]") -> Any:
    from rich.console import Group
    from rich.table import Table

    grid = Table(box=None, padding=(0, 1, 0, 0))
    words, numbers = ("name", "source", "GPU", "split", "quant"), ("KV blocks", "tok/s", "decodes")
    for name in (*words, *numbers):
        grid.add_column(name, justify="right" if name in numbers else "left", no_wrap=True)
    for row in rows:
        gpu = f"{row.gpus} x {row.gpu}" if row.gpus else row.gpu
        grid.add_row(*map(escape, (row.name, row.source, gpu, row.split or "-", row.quant)),
                     str(row.kv_blocks or "-"), f"{row.best.tok_per_s:,.0f}", str(row.best.decodes))
    contexts = sorted({row.best.ctx_tok for row in rows})
    said = f"tok/s: the most that decoding alone gives, {' or '.join(map(str, contexts))} tokens of context each"
    return Group(grid, "", f"{len(rows)} profiles. {said}.",
                 "Modelled, not measured, where the source is not 'measured'.")


@click.command()
@click.argument("profile")
@click.option("--out", type=click.Path(path_type=Path), default=None,
              help="Folder for decode.csv and prefill.csv (default: runs/profile-TIME).")
@json_option
def export(profile: str, out: Path | None, as_json: bool) -> None:
    """Write a PROFILE's decode and prefill times as CSV files.

    \b
    Example:
      workbench profile export qwen3-32b-h100-tp2-fp8 --out grid
    """
    from workbench.flows.profile_export import export as write
    from workbench.paths import shown, stamped
    from workbench.profile.locate import given_path
    from workbench.profile.profile import read

    folder = out or stamped("profile")
    written = [shown(path) for path in write(read(given_path(profile)), folder)]
    for path in written:
        note(f"wrote {path}")
    emit({"files": written}, as_json, lambda: "\n".join(written))
