"""`workbench journal`: what the control plane decided, told, replayed, shown."""

from itertools import islice
from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, json_option, plain

SEED = click.option("--seed", type=click.IntRange(min=0), help="Which seed of the run (default: the first).")
POLICY = click.option("--policy", "policies", multiple=True, metavar="KIND=./FILE.py:CLASS",
                      help="The file of your own that the run was made with. It is run.")
RUN = click.argument("run", metavar="RUN", type=click.Path(path_type=Path))


@click.group()
def group() -> None:
    """Read the decision journal of a run under the control plane: explain a request, replay, show.

    \b
    Example:
      workbench sim run sims/scenarios/plane/production.toml --seed 1 --out runs/first
      workbench journal explain runs/first r000042
    """


@group.command()
@RUN
@click.argument("request_id")
@SEED
@POLICY
@json_option
def explain(run: Path, request_id: str, seed: int | None, policies: tuple[str, ...], as_json: bool) -> None:
    """Tell in plain lines what happened to one request of RUN, a folder of `sim run` or a journal file, and why.

    The journal is replayed through a fresh control plane on the way: what is told is what was decided.

    \b
    Example:
      workbench journal explain runs/first r000042
    """
    from workbench.flows.journal import custom, load
    from workbench.flows.journal_story import explain as told

    journal = load(run, seed)
    story = told(journal, request_id, custom(journal, policies))
    emit(story.as_json(), as_json, lambda: plain("\n".join(story.lines())))


@group.command()
@RUN
@SEED
@POLICY
@json_option
def replay(run: Path, seed: int | None, policies: tuple[str, ...], as_json: bool) -> None:
    """Tell a fresh control plane the events of RUN: the same decisions, or the first that differs (exit 1).

    \b
    Example:
      workbench journal replay runs/first
    """
    from workbench.flows.journal import custom, load
    from workbench.flows.journal import replay as replayed

    journal = load(run, seed)
    found = replayed(journal, custom(journal, policies))
    emit(found, as_json, lambda: _replay_text(found))
    if not found["same"]:
        raise SystemExit(1)


@group.command()
@RUN
@SEED
@click.option("--tenant", help="Only what concerns requests of this tenant.")
@click.option("--kind", help="Only entries with this event or decision, such as Reject, Release, Alarm.")
@click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="At most so many entries; "
              "0: all.")
@json_option
def show(
    run: Path, seed: int | None, tenant: str | None, kind: str | None, limit: int, as_json: bool,
) -> None:
    """List what RUN's control plane was told and what it decided.

    \b
    Example:
      workbench journal show runs/first --tenant batch --kind reject
    """
    from workbench.flows.journal import load
    from workbench.flows.journal import show as shown

    entries = shown(load(run, seed), tenant, kind)
    found = list(islice(entries, limit or None))
    more = sum(1 for _ in entries)
    emit({"entries": found, "more": more}, as_json, lambda: plain("\n".join(_show_lines(found, more))))


def _replay_text(found: dict[str, Any]) -> str:
    if found["same"]:
        return f"same: {found['entries']:,} events, {found['decisions']:,} decisions, none different"
    was, is_ = ("; ".join(found[key]) or "nothing" for key in ("journal", "now"))
    return plain(f"different at {found['at_ns'] / 1e9:.6f} s: {found['event']}\n  journal: {was}\n  now:     {is_}")


def _show_lines(found: list[dict[str, Any]], more: int) -> list[str]:
    lines = []
    for one in found:
        lines.append(f"{one['at_ns'] / 1e9:12.6f} s  {one['event']}")
        lines += [f"{'':>16}-> {text}" for text in one["decisions"]]
    return [*lines, *([f"... and {more:,} more; --limit 0 shows all"] if more else [])]
