"""An invoice: lines that add up to its total, in cents as in pico-USD."""

from collections.abc import Sequence
from typing import NamedTuple

from workbench.control.money.amounts import rounded_lines, usd
from workbench.control.money.periods import Period, moment


class Charge(NamedTuple):
    """What a line is made of. `what`: usage, adjustment (late usage of an earlier period), fee, minimum, credit,
    carried (a negative total, kept as a credit). `price`: of a unit, and its time where it changed, in words."""

    what: str
    text: str
    tok: int
    pusd: int
    price: str = ""


class Line(NamedTuple):
    what: str
    text: str
    tok: int
    pusd: int  # exact
    cents: int  # the lines' cents sum to the total
    price: str = ""


class Invoice(NamedTuple):
    """Never changed once issued: corrections are later lines, credit notes and refunds."""

    number: str
    tenant: str
    period: Period
    issued_ns: int
    due_ns: int
    lines: tuple[Line, ...]
    total_cents: int
    utc_ns: int = 0  # when the clock of the run shows 0; 0: nobody said

    @property
    def total_pusd(self) -> int:
        return sum(line.pusd for line in self.lines)

    def text(self) -> str:
        """Plain lines, for people."""
        begin, end = (moment(at_ns, self.utc_ns) for at_ns in self.period)
        wide = max(44, *(len(line.text) for line in self.lines)) if self.lines else 44
        rows = [f"{self.number}  {self.tenant}  {begin} to {end}"]
        rows += [f"  {line.what:<10} {line.text:<{wide}} {line.tok:>16,} {usd(line.cents):>14}  {line.price}".rstrip()
                 for line in self.lines]
        return "\n".join([*rows, f"  {'total':<10} {'USD':<{wide}} {'':>16} {usd(self.total_cents):>14}"])


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
    return total, tuple(Line(*one[:4], part, one.price) for one, part in zip(charges, cents, strict=True))
