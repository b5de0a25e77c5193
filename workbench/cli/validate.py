"""`workbench validate`: the simulator held against what is known: measured runs, published measurements, theory."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note
from workbench.cli.validate_all import command as fidelity
from workbench.cli.validate_silicon import command as silicon
from workbench.cli.validate_theory import command as theory
from workbench.cli.validate_vllm import command as vllm


class EngineByDefault(click.Group):
    """A group whose first word may be left out: what names no subcommand is a run log, for `engine`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["engine", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            return "engine", self.commands["engine"], args
        return super().resolve_command(ctx, args)


@click.group(cls=EngineByDefault)
def command() -> None:
    """Hold the simulator against measured runs, published measurements and theory.

    Run logs without a subcommand are judged as by `validate engine`.

    \b
    Example:
      workbench validate runs/demo/Q4_0/heldout-*.parquet --profile runs/demo/Q4_0/profile.json
      workbench validate theory
    """


@command.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--profile", "profile_path", required=True, type=click.Path(path_type=Path), help="Profile to judge.")
@click.option("--out", type=click.Path(path_type=Path), default=None,
              help="File to write (default: runs/validation-TIME.json).")
@json_option
def engine(runs: tuple[Path, ...], profile_path: Path, out: Path | None, as_json: bool) -> None:
    """Simulate measured RUNS on a profile that never saw them, and say how far off the simulation is.

    Give the repeats of one workload together: their half-range is the noise beside which the error is shown.

    \b
    Example:
      workbench validate engine runs/demo/Q4_0/heldout-*.parquet --profile runs/demo/Q4_0/profile.json
    """
    from workbench.files import write_json
    from workbench.flows.validate import validate
    from workbench.paths import shown, stamped
    from workbench.profile.profile import read

    found = validate(read(profile_path), runs)
    for name, partial in zip(found["runs"], found["partial"], strict=True):
        if partial:
            note(f"{name}: partial: the run was cut off; what it measured is compared")
    target = out or stamped("validation", ".json")
    write_json(target, found)
    note(f"wrote {shown(target)}")
    emit(found, as_json, lambda: validation_table([found]))


command.add_command(vllm, "vllm")
command.add_command(silicon, "silicon")
command.add_command(theory, "theory")
command.add_command(fidelity, "all")


def validation_table(found: list[dict[str, Any]]) -> Any:
    """One block of rows per validated workload: measured, simulated, error, half-range of the repeats."""
    from rich.console import Group
    from rich.table import Table

    from workbench.cli.tables import number

    table = Table("quant", "metric", "", "measured", "simulated", "error", "repeats differ by", "n", box=None)
    lines = []
    for item in found:
        name = escape(item["subject"]["quant"] or item["subject"]["model"])
        for metric in ("ttft_s", "tpot_s", "e2e_s"):
            block = item["metrics"][metric]
            for stat in ("mean", "p50", "p95"):
                cell = block[stat]
                table.add_row(
                    name, metric, stat, number(cell["measured"], "s"), number(cell["simulated"], "s"),
                    _percent(cell["rel_error_frac"], "+.1%"), _percent(cell["half_range_frac"], ".1%", "±"),
                    str(block["n"]["measured"]),
                )
        lines.append(f"{name}, {item['busy_frac']:.0%} busy: {escape(item['verdict'])}")
    return Group(table, "", *lines)


def _percent(value: float | None, form: str, before: str = "") -> str:
    return "n/a" if value is None else before + format(value, form)
