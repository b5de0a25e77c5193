"""An invoice: lines that add up to its total, in cents as in pico-USD."""

from collections.abc import Sequence
from typing import NamedTuple

from workbench.control.money.amounts import rounded_lines, usd
from workbench.control.money.periods import Period


class Charge(NamedTuple):
    """What a line is made of. `what`: usage, adjustment (late usage of an earlier period), fee, minimum, credit,
    carried (a negative total, kept as a credit)."""

    what: str
    text: str
    tok: int
    pusd: int


class Line(NamedTuple):
    what: str
    text: str
    tok: int
    pusd: int  # exact
    cents: int  # the lines' cents sum to the total


class Invoice(NamedTuple):
    """Never changed once issued: corrections are later lines, credit notes and refunds."""

    number: str
    tenant: str
    period: Period
    issued_ns: int
    due_ns: int
    lines: tuple[Line, ...]
    total_cents: int

    @property
    def total_pusd(self) -> int:
        return sum(line.pusd for line in self.lines)

    def text(self) -> str:
        """Plain lines, for people."""
        rows = [f"{self.number}  {self.tenant}  [{self.period.start_ns}, {self.period.end_ns}) ns"]
        rows += [f"  {line.what:<10} {line.text:<44} {line.tok:>16,} {usd(line.cents):>14}" for line in self.lines]
        return "\n".join([*rows, f"  {'total':<10} {'USD':<44} {'':>16} {usd(self.total_cents):>14}"])


class CreditNote(NamedTuple):
    """Takes back a part of an invoice."""

    key: str
    invoice: str
    cents: int
    reason: str
    account: str = "credited"  # or "bad_debt": written off


def lines_of(charges: Sequence[Charge]) -> tuple[int, tuple[Line, ...]]:
    """Total in cents and the lines."""
    total, cents = rounded_lines([one.pusd for one in charges])
    return total, tuple(Line(*one, part) for one, part in zip(charges, cents, strict=True))
