"""`workbench validate all`: regenerate the fidelity page."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, json_option, note


@click.command()
@click.option("--data", type=click.Path(path_type=Path),
              help="Folder of public measured data (default: what WORKBENCH_DATA names).")
@click.option("--runs", type=click.Path(path_type=Path),
              help="Folder that `workbench demo` wrote: its held-out runs are our own engine's.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for both files (default: docs/).")
@click.option("--only", multiple=True, type=click.Choice(("vllm", "silicon", "engine", "theory")),
              help="Renew this section alone; may be given again.")
@click.option("--silicon-limit", type=click.IntRange(min=1), help="At most so many rows of the silicon sample.")
@click.option("--seeds", type=click.IntRange(min=8), help="Seeds for each system of queueing theory.")
@click.option("--requests", type=click.IntRange(min=100), help="Requests for each of these seeds.")
@json_option
def command(
    data: Path | None, runs: Path | None, out: Path | None, only: tuple[str, ...], silicon_limit: int | None,
    seeds: int | None, requests: int | None, as_json: bool,
) -> None:
    """Run every comparison whose data is at hand and write docs/fidelity.json and docs/fidelity.md.

    A section without data keeps its last text, with its date.

    \b
    Example:
      workbench validate all --data ../data --runs runs/demo
    """
    from workbench import paths
    from workbench.errors import UsageError
    from workbench.flows.fidelity import JSON_NAME, PAGE_NAME, validate_all
    from workbench.flows.fidelity_page import ORDER, render
    from workbench.flows.validate_theory import REQUESTS, SEEDS

    for flag, folder in (("--data", data), ("--runs", runs)):
        if folder is not None and not folder.is_dir():
            raise UsageError(f"{flag} {folder}: no such folder")
    top = paths.root()
    docs = out or (Path("docs") if top is None else top / "docs")
    found: dict[str, Any] = validate_all(
        docs, data=data or paths.public_data(), runs=runs, silicon_limit=silicon_limit, seeds=seeds or SEEDS,
        requests=requests or REQUESTS, only=only or ORDER, say=note)
    note(f"wrote {paths.shown(docs / JSON_NAME)} and {PAGE_NAME}")
    emit(found, as_json, lambda: render(found))
