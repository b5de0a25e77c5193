"""What every command shares: --json, notes and progress on standard error, and the escape of hostile text."""

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
_CONTROL = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b.|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def json_option(function: F) -> F:
    """Add --json, handed over as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")(function)


def plain(text: str) -> str:
    """Text from a model, a log or a user without terminal escapes and control characters."""
    return _CONTROL.sub("", text)


def escape(text: str) -> str:
    """Hostile text for rich markup: no escapes, no markup."""
    from rich.markup import escape as markup

    return markup(plain(text))


def emit(value: Any, as_json: bool, text: Callable[[], Any]) -> None:
    """Print the result: one JSON object, or what `text` returns (a string, or something rich can draw)."""
    if as_json:
        click.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))
        return
    shown = text()
    if isinstance(shown, str):
        click.echo(shown)
        return
    from rich.console import Console

    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "120"))
    Console(width=width, highlight=False).print(shown)


def note(message: str) -> None:
    """A line for people, on standard error."""
    click.echo(plain(message), err=True)


class Progress:
    """A bar on a terminal; elsewhere a line when a step begins and at every tenth of a long one; both with time left.

    Speed is counted from the first update on: what came before was done earlier, or waited for something to start.
    """

    def __init__(self, total: int, label: str) -> None:
        self.total, self.label, self.done = max(total, 1), label, 0
        self._started, self._tenth = time.monotonic(), 0
        self._first: tuple[int, float] | None = None  # of the first step that was made here: how many were done, when
        self._bar: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar("{task.description}", BarColumn(), "{task.completed}/{task.total}", TimeElapsedColumn(),
                            "{task.fields[left]}", console=Console(stderr=True), transient=False)
            self._bar.start()
            self._task = self._bar.add_task(escape(label), total=self.total, left="")
        else:
            note(f"{label} ...")

    def update(self, done: int) -> None:
        """Say how much is done, out of the total."""
        if self._first is None and done > self.done > 0:
            self._first = done, time.monotonic()
        self.done = done
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=self.total, left=self.left)
        elif done * 10 // self.total > self._tenth and time.monotonic() - self._started > 10:
            self._tenth = done * 10 // self.total
            note(f"{self.label}: {done}/{self.total}{self.left}")

    @property
    def left(self) -> str:
        """", 40 s left" at the speed so far; nothing while that is not known."""
        if self._first is None or self.done <= self._first[0]:
            return ""
        before, since = self._first
        seconds = (time.monotonic() - since) / (self.done - before) * (self.total - self.done)
        return f", {seconds:.0f} s left" if seconds < 120 else f", {seconds / 60:.0f} min left"

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        else:
            note(f"{self.label}: {time.monotonic() - self._started:.1f} s")


@contextlib.contextmanager
def progress(total: int, label: str) -> Iterator[Progress]:
    """Show progress of `total` steps on standard error."""
    shown = Progress(total, label)
    try:
        yield shown
    finally:
        shown.close()
