"""`workbench compare`: variants of a scenario, with intervals."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note
from workbench.cli.compare_plane import plane_table, plane_warnings
from workbench.cli.replications import profile_words, share, shown, simulation_only_words, where, where_options


@click.command()
@click.argument("scenarios", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--policy", "policies", multiple=True, metavar="KEY=A,B",
              help="Variants by policy: router=..., queue=... or window=...; with a [control] table scheduling=..., "
              "routing=... (a name, or ./FILE.py:CLASS) or window=...; repeat for all combinations.")
@click.option("--replications", type=click.IntRange(min=2), default=10, show_default=True,
              help="Seeds per variant; with --until-half-width: of the first stage.")
@click.option("--until-half-width", metavar="SHARE", callback=share,
              help="Add replications until the interval of the differences of mean latencies (or of each --metric) is "
              "no wider than +- this share of the baseline, such as 5%.")
@click.option("--max-replications", type=click.IntRange(min=2), default=200, show_default=True,
              help="Bound for --until-half-width.")
@click.option("--metric", "metrics", multiple=True, help="Compare this only, such as ttft_s.p95; repeat for more.")
@click.option("--out", type=click.Path(path_type=Path), help="File to write (default: runs/comparison-TIME.json).")
@where_options
@json_option
def command(
    scenarios: tuple[Path, ...], policies: tuple[str, ...], replications: int, until_half_width: float | None,
    max_replications: int, metrics: tuple[str, ...], out: Path | None, workers: int | None, ray: str | None,
    as_json: bool,
) -> None:
    """Simulate variants on the same random numbers and say which differences are more than luck.

    The first of SCENARIOS, with the first policies, is the baseline. Differences are paired replication by
    replication; the intervals shown hold together (Bonferroni), and one that leaves out zero is called a difference.
    Scenarios with a control plane are compared in one table of tiers, fairness and revenue.

    \b
    Example:
      workbench init scenario && workbench compare scenario.toml --policy router=round_robin,least_loaded
      workbench compare today.toml tomorrow.toml --until-half-width 5% --json
      workbench compare multi_tenant.toml --policy scheduling=fifo,priority,wfq,edf,vtc
    """
    from workbench.files import write_json
    from workbench.flows.compare import compare
    from workbench.flows.comparison import Effort
    from workbench.flows.sim_files import given
    from workbench.paths import shown as shown_path
    from workbench.paths import stamped

    effort = Effort(replications, until_half_width, max_replications)
    scenarios = tuple(given(path, note) for path in scenarios)
    with shown("replications") as on_done:
        found = compare(scenarios, policies, effort=effort, metrics=metrics, where=where(workers, ray),
                        on_done=on_done, on_stage=note)
    target = out or stamped("comparison", ".json")
    write_json(target, found)
    note(f"wrote {shown_path(target)}")
    of_plane = "figures" in found
    for line in plane_warnings(found) if of_plane else warnings(found):
        note(line)
    emit(found, as_json, lambda: plane_table(found) if of_plane else comparison_table(found))


def warnings(found: Mapping[str, Any]) -> list[str]:
    """What a reader must know first: overload, lost pairing, a profile asked outside its range, a missed target."""
    lines = []
    sources = dict.fromkeys(item["profile_source"] for item in found["variants"])
    if len(sources) > 1:
        lines.append(f"the profiles come from different sources ({', '.join(sources)}): a difference may be theirs")
    for warning, names in _by(found["variants"], "warning"):
        lines.append(f"{names}: {warning}")
    for options, names in _by(found["variants"], "simulation_only"):
        lines.append(f"{names}: {simulation_only_words(options)}")
    for item in found["variants"]:
        lines += [] if item["paired"] else [f"{item['name']}: {item['pairing']}"]
        rejected = item["outcomes"]["rejected"]
        lines += [f"{item['name']}: {rejected} requests can never be served here and were rejected"] if rejected else []
        beyond = item["outside_profile_range"]
        if beyond:
            lines.append(f"{item['name']}: {beyond} of {item['iterations']} iterations lie outside the range that the "
                         "profile was measured in")
    stage = found["replications"]["two_stage"]
    if stage and not stage["reached"]:
        lines.append(f"the half-width asked for needs {stage['needed']} replications ({stage['needed_by']}): "
                     f"stopped at {stage['replications']}")
    return lines


def _by(variants: Sequence[Mapping[str, Any]], key: str) -> list[tuple[Any, str]]:
    """What variants have under a key, if anything, each once with the names of those that have it."""
    found: list[tuple[Any, list[str]]] = []
    for item in variants:
        names = next((names for value, names in found if value == item[key]), None)
        if names is None:
            found.append((item[key], names := []))
        names.append(item["name"])
    return [(value, ", ".join(names)) for value, names in found if value]


def _variant_line(item: Mapping[str, Any]) -> str:
    replicas = "1 replica" if item["replicas"] == 1 else f"{item['replicas']} replicas"
    load = "" if item["load_frac"] is None else f", load {item['load_frac']:.0%} of saturation"
    return f"{item['name']}: {replicas} on {profile_words(item['profile_source'], item['profile'])}{load}"


def comparison_table(found: Mapping[str, Any]) -> Any:
    """One row a comparison, better and worse ones in words; what could not be compared, below."""
    from rich.console import Group
    from rich.table import Table

    from workbench.cli.tables import number

    several = len({row["tier"] for row in found["comparisons"]}) > 1
    names = [item["name"] for item in found["variants"][1:]]
    parts: list[Any] = [f"baseline {escape(found['baseline'])}, {found['replications']['n']} replications; 95 % "
                        f"intervals, {found['method']['simultaneous']}; simulated",
                        *(escape(_variant_line(item)) for item in found["variants"])]
    for name in names:
        about = next(item for item in found["variants"] if item["name"] == name)
        table = Table(title=f"{escape(name)} ({escape(about['pairing'])})", title_justify="left", box=None)
        for column in (["tier"] if several else []) + ["metric", "baseline", "variant", "difference", "from", "to", ""]:
            words = column in ("tier", "metric", "")
            table.add_column(column, justify="left" if words else "right", no_wrap=words)
        for row in found["comparisons"]:
            if row["variant"] == name:
                ends, unit = row["simultaneous"], row["unit"]
                cells = [escape(row["tier"])] if several else []
                means = [number(row[key], unit) for key in ("baseline_mean", "variant_mean")]
                signed = [_signed(value, unit) for value in (row["difference"], ends["low"], ends["high"])]
                table.add_row(*cells, _metric(row), *means, *signed, row["verdict"])
        parts += ["", table]
    lines = {f"{_metric(row)}: not compared, {row['why']}" for row in found["not_compared"]}
    return Group(*parts, *sorted(lines))


def _metric(row: Mapping[str, Any]) -> str:
    return str(row["metric"]) if row["stat"] == "value" else f"{row['metric']} {row['stat']}"


def _signed(value: float, unit: str) -> str:
    from workbench.cli.tables import number

    return ("-" if value < 0 else "+") + number(abs(value), unit)
