"""`workbench capacity`: replicas, failures, users, queues, autoscalers, forecast."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note


@click.command()
@click.argument("capacity_path", metavar="CAPACITY.toml", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Folder for capacity.json (default: none).")
@json_option
def command(capacity_path: Path, out: Path | None, as_json: bool) -> None:
    """Replicas for the day's peak and with some of them dead, users of one replica, queues, autoscalers, forecast.

    `workbench init capacity` writes a commented example.

    \b
    Example:
      workbench init capacity && workbench capacity capacity.toml
    """
    from workbench.flows.capacity import capacity_file

    found = capacity_file(capacity_path, out, on_step=note)
    emit(found, as_json, lambda: _text(found))


def _text(found: dict[str, Any]) -> Any:
    from rich.console import Group

    parts: list[Any] = [_failures(found["failure"])]
    if found["users"] is not None and found["users"]["simulated"] is not None:
        parts += ["", _users(found["users"])]
    if found["scalers"]:
        parts += ["", _scalers(found["scalers"])]
    if found["forecast"] is not None:
        parts += ["", _forecast(found["forecast"])]
    lines = [f"With {row['replicas']}: {escape(row['why_not'])}." for row in found["failure"] if row["why_not"]]
    return Group(*parts, "", *lines, escape(found["answer"]))


def _failures(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("replicas alive", "keeps the SLO", "inside", "load / capacity", "waiting: mean", "p95", "p99", "most",
                  box=None, padding=(0, 1))
    for row in rows:
        queue = row["queue_depth"]
        table.add_row(str(row["replicas"]), "yes" if row["met"] else "no", _share(row["attainment_frac"]),
                      "n/a" if row["load_frac"] is None else f"{row['load_frac']:.2f}",
                      *(f"{queue[key]:.3g}" for key in ("mean", "p95", "p99", "max")))
    return table


def _users(users: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table("users of one replica", "requests/s", "response", box=None, padding=(0, 1))
    done, theory, ends = users["simulated"], users["theory"], users["bounds"]
    table.add_row(f"{users['users']}{' or more' if users['at_limit'] else ''}, simulated",
                  f"{done['throughput_rps']['mean']:.3g}", f"{done['response_s']['mean']:.3g} s")
    table.add_row("the same by theory", f"{theory['throughput_rps']:.3g}", f"{theory['response_s']:.3g} s")
    table.add_row("bounds: nobody waits; never at rest", f"{ends['light_rps']:.3g}; {ends['heavy_rps']:.3g}",
                  f"they meet at {ends['knee_users']:.0f} users")
    return table


def _scalers(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("over the day", "keeps the SLO", "inside", "replicas paid, mean", "starts", box=None, padding=(0, 1))
    for row in rows:
        mean = row["replicas_mean"]
        table.add_row(escape(row["name"]), "yes" if row["met"] else "no", _share(row["attainment_frac"]),
                      f"{mean['mean']:.2f} ({mean['low']:.2f} to {mean['high']:.2f})", f"{row['starts_mean']:.0f}")
    return table


def _forecast(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    table = Table(f"forecast, {found['ahead_slots']} slots ahead", "mean error", "of the mean", "bias", "n", box=None,
                  padding=(0, 1))
    for row in found["backtest"]:
        share = "n/a" if row["mean_abs_frac"] is None else f"{row['mean_abs_frac']:.1%}"
        table.add_row(row["name"], f"{row['mean_abs']:.3g}", share, f"{row['bias']:+.3g}", str(row["n"]))
    return Group(table, f"Next peak by {found['best']}: {found['peak_rps']:.3g} requests/s, "
                        f"{found['peak_with_error_rps']:.3g} with the error that 19 of 20 slots stayed below.")


def _share(held: dict[str, Any]) -> str:
    return f"{held['mean']:.1%} ({max(0.0, held['low']):.1%} to {min(1.0, held['high']):.1%})"
