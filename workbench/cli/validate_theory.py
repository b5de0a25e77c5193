"""`workbench validate theory`: simulated queues against their formulas."""

from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note


@click.command()
@click.option("--seeds", type=click.IntRange(min=8), default=None, help="Independent runs of each system.")
@click.option("--requests", type=click.IntRange(min=100), default=None, help="Requests in each run.")
@click.option("--service-factor", type=click.FloatRange(min=0.5, max=2.0), default=1.0, show_default=True,
              help="A deliberate bug: services take this many times as long as they should. The check must then fail.")
@json_option
def command(seeds: int | None, requests: int | None, service_factor: float, as_json: bool) -> None:
    """Simulate queues that theory can solve, and compare with the formulas.

    Erlang B and C, M/M/1/K, Pollaczek-Khinchine, Cobham. An interval is three sigma wide on each side; the power is
    the probability that services 2 % too long would be noticed. Ends with an error where a formula is contradicted.

    \b
    Example:
      workbench validate theory
      workbench validate theory --seeds 20 --requests 2000 --service-factor 1.1   # fails, as it should
    """
    from workbench.errors import Failure
    from workbench.flows.validate_theory import REQUESTS, SEEDS, validate_theory

    found = validate_theory(seeds=seeds or SEEDS, requests=requests or REQUESTS, factor=service_factor,
                            on_system=lambda title: note(f"{title} ..."))
    emit(found, as_json, lambda: theory_table(found))
    if found["agree"] < found["of"]:
        wrong = ", ".join(f"{row['system']} {row['quantity']}" for row in found["checks"] if not row["agrees"])
        raise Failure(f"theory contradicts the simulation in {found['of'] - found['agree']} of {found['of']}: {wrong}")


def theory_table(found: dict[str, Any]) -> Any:
    """A row for each quantity."""
    from rich.console import Group
    from rich.table import Table

    table = Table("system", "quantity", "formula", "simulated", "interval", "a 2 % bug is caught", "agrees", box=None)
    for row in found["checks"]:
        table.add_row(
            escape(row["title"]), row["quantity"], f"{row['formula']:.4f}", f"{row['simulated']:.4f}",
            f"{row['low']:.4f} to {row['high']:.4f}", f"{row['power_frac']:.0%}", "yes" if row["agrees"] else "NO")
    return Group(
        table, f"{found['agree']} of {found['of']} agree; {found['seeds']} seeds of {found['requests_per_seed']} "
               f"requests; waits in mean services, {found['level']:.2%} intervals")
