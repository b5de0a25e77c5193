"""`workbench profile derive`: a quantisation that was not benchmarked, from one that was."""

from pathlib import Path

import click

from workbench.cli.common import emit, json_option, note

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("profile")
@click.option("--quant", required=True, help="The quantisation that is wanted, such as Q4_K_M.")
@click.option("--speed-from", "table", type=FILE, default=None, help="Quality table with tok_per_s of both "
              "quantisations (default: the shipped model's).")
@click.option("--out", type=FILE, default=None, help="Where the profile is written (default: runs/profile-TIME.json).")
@json_option
def derive(profile: str, quant: str, table: Path | None, out: Path | None, as_json: bool) -> None:
    """Make a profile of another quantisation from a measured PROFILE: all its times by one ratio of speeds.

    The ratio of output tokens per second comes from a quality table, with its interval. The profile's source is
    `derived`; it names both.

    \b
    Example:
      workbench profile derive example-cpu-f16 --quant Q4_K_M --out q4_k_m.json
    """
    from workbench.cli.profile_tables import profile_tables
    from workbench.flows.profile_derive import SHIPPED
    from workbench.flows.profile_derive import derive as made
    from workbench.paths import shown, stamped
    from workbench.profile.figures import as_json as content
    from workbench.profile.locate import given_path
    from workbench.profile.profile import read, write

    found, target = made(read(given_path(profile)), quant, table or SHIPPED), out or stamped("profile", ".json")
    write(found, target)
    note(f"wrote {shown(target)}")
    emit({**content(found), "out": shown(target)}, as_json, lambda: profile_tables(found))
