"""`workbench data`: the public measured data that tests can use."""

from pathlib import Path

import click

from workbench.cli.common import emit, json_option


@click.group()
def group() -> None:
    """Public measured data for tests and validation.

    \b
    Example:
      workbench data check "$WORKBENCH_DATA"
    """


@group.command()
@click.argument("folder", type=click.Path(path_type=Path), envvar="WORKBENCH_DATA")
@json_option
def check(folder: Path, as_json: bool) -> None:
    """Say which of the known data sets FOLDER (default: $WORKBENCH_DATA) holds, and where the others come from.

    \b
    Example:
      workbench data check ~/workbench-data
    """
    from workbench.flows.data import check as check_data

    found = check_data(folder)
    emit({"sets": found}, as_json, lambda: "\n".join(
        f"{'there  ' if item['there'] else 'missing'} {item['path']}: {item['what']} "
        f"({item['origin']}, {item['licence']})"
        for item in found
    ))
