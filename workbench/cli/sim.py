"""`workbench sim`: run a scenario, sweep its load, show its batches."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note, plain
from workbench.cli.replications import (
    numbers,
    profile_words,
    share,
    shown,
    simulation_only_words,
    where,
    where_options,
)


@click.group()
def group() -> None:
    """Simulate a fleet: requests, a front door and replicas, on a profile.

    \b
    Example:
      workbench init scenario && workbench sim run scenario.toml
      workbench init platform && workbench sim run platform.toml --report
    """


@group.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for logs, journals and summary.json "
              "(default: runs/sim-UTC).")
@click.option("--seed", type=click.IntRange(min=0), help="Run this one seed instead of the scenario's.")
@click.option("--replications", type=click.IntRange(min=1), help="Run this many seeds instead of the scenario's.")
@click.option("--policy", "policies", multiple=True, metavar="KIND=POLICY", help="With a [control] table: another "
              "scheduling or routing, by name or from a file of your own, scheduling=./mine.py:Mine. The file is run.")
@click.option("--journal/--no-journal", default=None, help="With a [control] table: write the decision journal "
              "(default: up to 100,000 requests).")
@click.option("--report", is_flag=True, help="With a [control] table: write report.html, too.")
@where_options
@json_option
def run(
    scenario: Path, out: Path | None, seed: int | None, replications: int | None, policies: tuple[str, ...],
    journal: bool | None, report: bool, workers: int | None, ray: str | None, as_json: bool,
) -> None:
    """Run SCENARIO, a TOML file or the name of a shipped one, and show what its users would see.

    Writes one run log and one decision journal per seed, summary.json, and the scenario with its profile. A scenario
    with a [control] table runs under the whole control plane: attempts, ledger, invoices and an SLA report, too.

    \b
    Example:
      workbench sim run scenario.toml --out runs/first --json
      workbench sim run production.toml --seed 1 --policy scheduling=edf --report
    """
    from workbench.config import read_text
    from workbench.flows.plane_policies import control_of
    from workbench.flows.sim import run_scenario
    from workbench.flows.sim_files import given

    if seed is not None and replications is not None:
        raise click.UsageError("give --seed or --replications, not both")
    scenario = given(scenario, note)
    text = read_text(scenario)
    if control_of(text, scenario.name) is not None:
        from workbench.cli.plane_text import run_and_show

        run_and_show(scenario, text, out, seed=seed, replications=replications, where=where(workers, ray),
                     policies=policies, journal=journal, report=report, as_json=as_json)
        return
    if policies or journal is not None or report:
        raise click.UsageError(f"{scenario.name} has no [control] table, which --policy, --journal and --report need; "
                               "sims/scenarios/plane has scenarios with one")
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        note(line)

    with shown("seeds") as on_done:
        found = run_scenario(scenario, out, seed=seed, replications=replications, where=where(workers, ray),
                             on_done=on_done, on_note=say)
    for line in warnings(found, overload=not said):
        note(line)
    emit(found, as_json, lambda: _text(found))


@group.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--load", "loads", metavar="A,B,...", callback=numbers,
              help="Arrival rates as fractions of the saturation rate (default: 0.2 to 1.1).")
@click.option("--rates", metavar="A,B,...", callback=numbers, help="Arrival rates in requests/s instead.")
@click.option("--replications", type=click.IntRange(min=2), default=5, show_default=True, help="Seeds a rate.")
@click.option("--target", metavar="SHARE", callback=share, default="99%", show_default=True,
              help="Share of requests inside the SLO that the knee must keep.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for sweep.json, sweep.html, sweep.svg and "
              "sweep.png (default: runs/sweep-UTC).")
@where_options
@json_option
def sweep(
    scenario: Path, loads: tuple[float, ...], rates: tuple[float, ...], replications: int, target: float,
    out: Path | None, workers: int | None, ray: str | None, as_json: bool,
) -> None:
    """Run SCENARIO at many arrival rates and find the load up to which it keeps its SLO.

    Every rate stretches the same arrivals. Saturation is what the fleet completes with everything waiting.

    \b
    Example:
      workbench sim sweep scenario.toml --load 0.3,0.5,0.7,0.8,0.9
    """
    from workbench import paths
    from workbench.figures.static import render
    from workbench.files import atomic, write_json, write_text
    from workbench.flows.sim_files import given
    from workbench.flows.sweep import sweep as run_sweep
    from workbench.flows.sweep_chart import chart, sentences, table
    from workbench.report.sheet import sheet

    folder, scenario = out or paths.stamped("sweep"), given(scenario, note)
    paths.refuse_used(folder)
    with shown("replications") as on_done:
        found = run_sweep(scenario, loads=loads, rates=rates, replications=replications, target_frac=target,
                          where=where(workers, ray), on_done=on_done)
    drawn, lines = chart(found), sentences(found)
    lines += [simulation_only_words(found["simulation_only"]) + "."] if found["simulation_only"] else []
    write_json(folder / "sweep.json", found)
    about = {key: found[key] for key in ("file", "origin", "profile_source", "profile_sha256", "seeds")}
    title = f"Load against latency: {found['title'] or found['file']}"
    write_text(folder / "sweep.html", sheet(title, lines, [drawn, table(found)], about | {"name": "sweep"}))
    for kind in ("svg", "png"):
        with atomic(folder / f"sweep.{kind}") as temporary:
            temporary.write_bytes(render(drawn, kind))
    note(f"wrote {paths.shown(folder)}")
    emit(found, as_json, lambda: _sweep_text(table(found), lines))


@group.command()
@click.argument("run_path", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("trace.json"), show_default=True,
              help="File to write; a name that ends in .gz is packed.")
@click.option("--seed", type=click.IntRange(min=0), help="Which seed of the run (default: the first).")
@click.option("--scenario", type=click.Path(path_type=Path), help="The scenario file, where its workload reads files.")
@click.option("--from", "from_s", type=float, default=0.0, help="Show the run from this second on.")
@click.option("--to", "to_s", type=float, help="Show it up to this second.")
@json_option
def trace(
    run_path: Path, out: Path, seed: int | None, scenario: Path | None, from_s: float, to_s: float | None,
    as_json: bool,
) -> None:
    """Write the batches of RUN, a folder of `sim run`, as a timeline that ui.perfetto.dev opens.

    One track a replica; counters of running and waiting requests; each request as a slice of its own. The run is
    simulated again, iteration by iteration, and must give the same times as its log.

    \b
    Example:
      workbench sim run scenario.toml --out runs/first && workbench sim trace runs/first --out trace.json
    """
    from workbench.flows.trace import Window
    from workbench.flows.trace import trace as run_trace

    found = run_trace(run_path, out, seed=seed, scenario=scenario, window=Window(from_s, to_s))
    emit(found, as_json, lambda: (
        f"{plain(found['out'])}: {found['iterations']} iterations in {found['slices']} slices, {found['requests']} "
        f"requests, {found['bytes'] / 1e6:.1f} MB; open it at ui.perfetto.dev (it stays on your machine)"))


def warnings(found: Mapping[str, Any], *, overload: bool = True) -> list[str]:
    """What a reader must know before the figures. `overload` is false where that was said before the run."""
    lines = []
    beyond = [item for item in found["runs"] if item["sim"]["warning"]]
    if overload and beyond:
        lines.append(f"seed {beyond[0]['seed']}: {beyond[0]['sim']['warning']}"
                     + (f"; so are {len(beyond) - 1} more seeds" if len(beyond) > 1 else ""))
    if found["simulation_only"]:
        lines.append(simulation_only_words(found["simulation_only"]))
    if not found["basis"]["profile_states_range"]:
        lines.append("the profile states no measured range: every iteration time is taken on trust")
    for item in found["runs"]:
        outside = item["sim"]["outside_profile_range"]
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
    basis = found["basis"]
    head = (f"{escape(found['title'])} on {escape(profile_words(basis['profile_source'], basis))}: "
            f"replicas {sim['replicas']}, queue {sim['queue']}, router {sim['router']}, "
            f"window {sim['window'] or 'none'}")
    tail = (f"first seed: busy {sim['busy_frac']:.0%}{load}, {sim['iterations']} iterations of "
            f"{sim['mean_batch']:.2f} sequences ({sim['mode']} mode), {sim['preemptions']} preemptions{cost}")
    warm = _warm([item["sim"]["warmup_found"]["cut_requests"] for item in found["runs"]])
    late = [f"{found['not_arrived']} requests had not arrived at the horizon and count in no metric"]
    return Group(head.strip(), summary_table(found, found["provenance"]), *_intervals(found), tail,
                 *(late if found["not_arrived"] else []), warm, f"written to {escape(found['out'])}")


def _intervals(found: Mapping[str, Any]) -> list[Any]:
    """How sure the means are: nothing for one seed, which says nothing of its own luck."""
    from rich.table import Table

    from workbench.cli.tables import number

    table = Table("over the seeds", "mean", "from", "to", box=None)
    for name, item in found["metrics"].items():
        stat = "value" if "value" in item else "mean"
        if item[stat].get("low") is not None and name != "window_s":
            ends = (number(item[stat][key], item["unit"]) for key in ("simulated", "low", "high"))
            table.add_row(name if stat == "value" else f"{name} {stat}", *ends)
    head = f"95 % intervals over {len(found['seeds'])} seeds, each alone"
    return [head, table] if table.row_count else []


def _warm(cuts: list[int | None]) -> str:
    """What MSER-5 says, seed by seed."""
    known = [str(cut) for cut in cuts if cut is not None]
    lines = [f"MSER-5 would leave out {', '.join(known)} more requests as warm-up"] if known else []
    if len(known) < len(cuts):
        lines.append(f"MSER-5 cannot tell a warm-up in {len(cuts) - len(known)} of {len(cuts)} seeds: longer runs can")
    return "; ".join(lines)


def _sweep_text(drawn: Any, lines: list[str]) -> Any:
    from rich.console import Group
    from rich.table import Table

    shown_table = Table(box=None, caption=escape(drawn.caption), caption_justify="left")
    for i, column in enumerate(drawn.columns):
        shown_table.add_column(escape(column), justify="left" if i in (0, len(drawn.columns) - 1) else "right")
    for row in drawn.rows:
        shown_table.add_row(*map(escape, row))
    return Group(shown_table, "", *map(escape, lines))
