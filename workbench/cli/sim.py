"""`workbench sim`: run a scenario."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note


@click.group()
def group() -> None:
    """Simulate a fleet: requests, a front door and replicas, on a profile.

    \b
    Example:
      workbench init scenario && workbench sim run scenario.toml
    """


@group.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for logs, journals and summary.json "
              "(default: runs/sim-UTC).")
@click.option("--seed", type=click.IntRange(min=0), help="Run this one seed instead of the scenario's.")
@json_option
def run(scenario: Path, out: Path | None, seed: int | None, as_json: bool) -> None:
    """Run SCENARIO, a TOML file, and show what its users would see.

    Writes one run log and one decision journal per seed, and summary.json.

    \b
    Example:
      workbench sim run scenario.toml --out runs/first --json
    """
    from workbench.flows.sim import run_scenario

    found = run_scenario(scenario, out, seed=seed, on_seed=lambda number: note(f"seed {number} ..."))
    for line in warnings(found):
        note(line)
    emit(found, as_json, lambda: _text(found))


def warnings(found: Mapping[str, Any]) -> list[str]:
    """What a reader must know before the figures: instability, and a profile asked outside its range."""
    lines = []
    if not found["basis"]["profile_states_range"]:
        lines.append("the profile states no measured range: every iteration time is taken on trust")
    for item in found["runs"]:
        sim, outside = item["sim"], item["sim"]["outside_profile_range"]
        if sim["warning"]:
            lines.append(f"seed {item['seed']}: {sim['warning']}")
        if outside["outside"] and found["basis"]["profile_states_range"]:
            names = ", ".join(f"{name} {count}" for name, count in outside["outside"].items())
            lines.append(f"seed {item['seed']}: of {outside['asked']} iterations some lie outside the range that the "
                         f"profile was measured in: {names}")
    return lines


def _text(found: Mapping[str, Any]) -> Any:
    from rich.console import Group

    from workbench.cli.tables import number, summary_table

    sim = found["sim"]
    load = "" if sim["load_frac"] is None else f", load {sim['load_frac']:.0%} of saturation"
    cost = "" if sim["cost_usd"] is None else f", {number(sim['cost_usd'], 'USD')} for the run"
    head = (f"{escape(found['title'])} on a profile of source {found['basis']['profile_source']}: "
            f"replicas {sim['replicas']}, queue {sim['queue']}, router {sim['router']}, "
            f"window {sim['window'] or 'none'}")
    tail = (f"first seed: busy {sim['busy_frac']:.0%}{load}, {sim['iterations']} iterations of "
            f"{sim['mean_batch']:.2f} sequences, {sim['preemptions']} preemptions{cost}")
    return Group(head.strip(), summary_table(found, found["provenance"]), tail, f"written to {escape(found['out'])}")
