"""What every chapter's notebook begins and ends with: for whom, how long, on what numbers; and checked parameters."""

import difflib
from collections.abc import Sequence

from workbench.errors import UsageError
from workbench.report import library
from workbench.report.prose import Prose


def about(name: str) -> Prose:
    """The head of notebook `name` (or `ch12`), from its header."""
    item = library.about(name)
    basis = "; ".join(f"**{kind}**: {what}" for kind, what in item.basis.items())
    ways = f" On the way of {_and(item.modes)}." if item.modes else ""
    return Prose(f"For {item.readers}.{ways} Takes {item.run_s:.0f} s ({item.quick_s:.0f} s with `quick`). {basis}.")


def within(name: str, value: float, low: float, high: float) -> None:
    """Raises UsageError for a parameter out of its range."""
    if not low <= value <= high:
        raise UsageError(f"{name}: {value:g}: must be {low:g} to {high:g}")


def chosen(name: str, text: str, known: Sequence[str]) -> list[str]:
    """A list with commas; raises UsageError for what is unknown, with the nearest name, or for none."""
    found = [item.strip() for item in text.split(",") if item.strip()]
    for item in found:
        if item not in known:
            near = difflib.get_close_matches(item, known, n=1)
            raise UsageError(f"{name}: {item!r} is unknown; " + (f"did you mean {near[0]!r}?" if near else
                                                                 f"known: {', '.join(known)}"))
    if not found:
        raise UsageError(f"{name}: names none of {', '.join(known)}")
    return found


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
