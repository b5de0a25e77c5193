"""`workbench profile`: make, show and compare profiles."""

from pathlib import Path

import click

from workbench.cli.common import emit, json_option, note
from workbench.cli.profile_derive import derive
from workbench.cli.profile_import import import_group, roofline
from workbench.cli.profile_measure import measure
from workbench.cli.profile_shelf import export, list_profiles
from workbench.cli.profile_silicon import silicon

FILE = click.Path(path_type=Path)


@click.group()
def group() -> None:
    """Make, show and compare profiles: how long one engine iteration takes, and who says so.

    PROFILE is a file, or the name of one that ships (`workbench profile list`).

    \b
    Example:
      workbench profile list --model qwen3-32b --gpu h100
      workbench profile show qwen3-32b-h100-tp2-fp8
      workbench profile fit runs/cal/grid.parquet runs/cal/live-1.parquet --out q8.json
    """


group.add_command(list_profiles)
group.add_command(silicon)
group.add_command(import_group)
group.add_command(roofline)
group.add_command(export)
group.add_command(measure)
group.add_command(derive)


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
@click.argument("profile")
@click.option("--html", "page", type=FILE, default=None, help="Also write a page: decode time over batch and context.")
@json_option
def show(profile: str, page: Path | None, as_json: bool) -> None:
    """Show a PROFILE: its source, where it is thin, coefficients or grid, range, residuals.

    \b
    Example:
      workbench profile show qwen3-32b-h100-tp2-fp8 --html surface.html
    """
    from workbench.cli.profile_tables import profile_tables
    from workbench.profile.figures import as_json as content
    from workbench.profile.locate import given_path
    from workbench.profile.profile import read

    found = read(given_path(profile))
    if page is not None:
        from workbench.files import write_text
        from workbench.paths import shown
        from workbench.report.surface import surface_page

        write_text(page, surface_page(found))
        note(f"wrote {shown(page)}")
    emit(content(found), as_json, lambda: profile_tables(found))


@group.command()
@click.argument("first")
@click.argument("second")
@json_option
def compare(first: str, second: str, as_json: bool) -> None:
    """Compare two profiles figure by figure; the ratio is SECOND over FIRST.

    \b
    Example:
      workbench profile compare qwen3-32b-h100-tp2-bf16 qwen3-32b-h100-tp2-fp8 --json
    """
    from dataclasses import asdict

    from workbench.cli.profile_tables import compare_table
    from workbench.profile.figures import compare as compare_profiles
    from workbench.profile.figures import compare_notes, side
    from workbench.profile.locate import given_path
    from workbench.profile.profile import read

    a, b = read(given_path(first)), read(given_path(second))
    rows = compare_profiles(a, b)
    value = {"first": a.sha256, "second": b.sha256, "sources": [a.source, b.source],
             "sides": [side(a), side(b)], "notes": compare_notes(a, b),
             "figures": [asdict(item) for item in rows]}
    emit(value, as_json, lambda: compare_table(rows, a, b))
