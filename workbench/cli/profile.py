"""`workbench profile`: fit, show and compare profiles."""

from pathlib import Path

import click

from workbench.cli.common import emit, json_option, note

FILE = click.Path(path_type=Path)


@click.group()
def group() -> None:
    """Fit, show and compare profiles: how long one engine iteration takes.

    \b
    Example:
      workbench profile fit runs/cal/grid.parquet runs/cal/live-1.parquet --out q8.json
      workbench profile show q8.json
    """


@group.command()
@click.argument("log", nargs=-1, required=True, type=FILE)
@click.option("--out", type=FILE, default=None, help="Where the profile is written (default: runs/profile-TIME.json).")
@json_option
def fit(log: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Fit a profile from measured run LOGs of one engine and one model (grid and live traffic).

    \b
    Example:
      workbench profile fit runs/cal/grid.parquet runs/cal/live-1.parquet --out q8.json
    """
    from workbench.cli.profile_tables import profile_tables
    from workbench.flows.fit import fit_profile
    from workbench.paths import shown, stamped
    from workbench.profile.figures import as_json as content

    target = out or stamped("profile", ".json")
    found = fit_profile(list(log), target)
    note(f"wrote {shown(target)}")
    emit({**content(found), "out": shown(target)}, as_json, lambda: profile_tables(found))


@group.command()
@click.argument("file", type=FILE)
@json_option
def show(file: Path, as_json: bool) -> None:
    """Show a profile FILE: coefficients, measured range, residuals, drift.

    \b
    Example:
      workbench profile show q8.json
    """
    from workbench.cli.profile_tables import profile_tables
    from workbench.profile.figures import as_json as content
    from workbench.profile.profile import read

    found = read(file)
    emit(content(found), as_json, lambda: profile_tables(found))


@group.command()
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
@json_option
def compare(first: Path, second: Path, as_json: bool) -> None:
    """Compare two profile files figure by figure; the ratio is SECOND over FIRST.

    \b
    Example:
      workbench profile compare q8.json q4.json --json
    """
    from dataclasses import asdict

    from workbench.cli.profile_tables import compare_table
    from workbench.profile.figures import compare as compare_profiles
    from workbench.profile.profile import read

    a, b = read(first), read(second)
    rows = compare_profiles(a, b)
    value = {"first": a.sha256, "second": b.sha256, "figures": [asdict(item) for item in rows]}
    emit(value, as_json, lambda: compare_table(rows, a, b))
