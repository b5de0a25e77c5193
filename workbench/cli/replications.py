"""Options and progress of the commands that run many replications."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from workbench.cli.common import Progress

if TYPE_CHECKING:
    from workbench.flows.executor import OnDone, Where

F = TypeVar("F", bound=Callable[..., Any])


def where_options(function: F) -> F:
    """Add --workers and --ray."""
    ray = click.option("--ray", metavar="ADDRESS", help="Run on a Ray cluster: its address, auto, or local to start "
                       "one here. The numbers are the same.")
    workers = click.option("--workers", type=click.IntRange(min=1), help="Processes (default: one a core).")
    return workers(ray(function))


def where(workers: int | None, ray: str | None) -> "Where":
    from workbench.flows.executor import Where

    return Where(workers, ray)


@contextlib.contextmanager
def shown(label: str) -> Iterator["OnDone"]:
    """Progress over the tasks of an executor, which says how many there are only as it goes."""
    bar: list[Progress] = []

    def update(done: int, total: int) -> None:
        if bar and bar[-1].total != total:
            bar.pop().close()
        if not bar:
            bar.append(Progress(total, label))
        bar[-1].update(done)

    try:
        yield update
    finally:
        if bar:
            bar[-1].close()


def profile_words(source: str, of: Mapping[str, str]) -> str:
    """`a profile of source silicon (Llama-3.1-8B bf16, H100, TP2)`: what a profile is of, as far as it says."""
    split = of["parallel"] if of["gpu"] or of["parallel"] != "TP1" else ""
    named = ", ".join(filter(None, (f"{of['model']} {of['quant']}".strip(), of["gpu"], split)))
    return f"a profile of source {source}" + (f" ({named})" if named else "")


def simulation_only_words(options: Sequence[str]) -> str:
    """One line: with these options a result holds for the simulator alone."""
    return f"simulation only, no engine here is run with it: {', '.join(options)}"


def share(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """A fraction, given as 5% or 0.05."""
    if value is None:
        return None
    text = value.strip()
    try:
        return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no share; write 5% or 0.05") from None


def numbers(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[float, ...]:
    """Positive numbers between commas; nothing given is an empty tuple."""
    try:
        found = tuple(float(part) for part in value.split(",")) if value is not None else ()
    except ValueError:
        found = (0.0,)
    if not all(0 < number < float("inf") for number in found):
        raise click.BadParameter(f"{value!r}: write positive numbers between commas, such as 0.2,0.4,0.8")
    return found
