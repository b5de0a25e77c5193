"""`workbench sim`: run a scenario."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note
from workbench.cli.replications import shown, where, where_options


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
@click.option("--replications", type=click.IntRange(min=1), help="Run this many seeds instead of the scenario's.")
@where_options
@json_option
def run(
    scenario: Path, out: Path | None, seed: int | None, replications: int | None, workers: int | None,
    ray: str | None, as_json: bool,
) -> None:
    """Run SCENARIO, a TOML file, and show what its users would see.

    Writes one run log and one decision journal per seed, summary.json, and the scenario with its profile.

    \b
    Example:
      workbench sim run scenario.toml --out runs/first --json
    """
    from workbench.flows.sim import run_scenario

    if seed is not None and replications is not None:
        raise click.UsageError("give --seed or --replications, not both")
    with shown("seeds") as on_done:
        found = run_scenario(scenario, out, seed=seed, replications=replications, where=where(workers, ray),
                             on_done=on_done)
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
        if item["rejected"]["requests"]:
            lines.append(f"seed {item['seed']}: {item['rejected']['requests']} of {item['arrived']} requests can never "
                         f"be served here and were rejected: {item['rejected']['first']}")
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
    steady = [item["sim"]["warmup_found"] for item in found["runs"]]
    cuts = [str(item["cut_requests"]) for item in steady if item["cut_requests"] is not None]
    warm = (f"warm-up by MSER-5, beyond the {found['warmup']} requests declared: {', '.join(cuts) or 'none found'}"
            + (f"; no steady state shows in {len(steady) - len(cuts)} of {len(steady)} seeds"
               if len(cuts) < len(steady) else ""))
    return Group(head.strip(), summary_table(found, found["provenance"]), tail, warm,
                 f"written to {escape(found['out'])}")
