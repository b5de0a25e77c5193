"""What each tenant and tier brought and cost: sums of a ledger in pico-USD, exact."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Margin:
    """Integers; the fraction is exact, too (None without revenue)."""

    name: str
    requests: int
    price_pusd: int
    cost_pusd: int

    @property
    def gross_pusd(self) -> int:
        return self.price_pusd - self.cost_pusd

    @property
    def gross_frac(self) -> Fraction | None:
        return Fraction(self.gross_pusd, self.price_pusd) if self.price_pusd else None


def margins(rows: Iterable[tuple[str, int, int]]) -> list[Margin]:
    """Rows of (tenant or tier, price, cost), summed by name; the least profitable first, ties by name."""
    sums: dict[str, tuple[int, int, int]] = {}
    for name, price, cost in rows:
        n, prices, costs = sums.get(name, (0, 0, 0))
        sums[name] = n + 1, prices + price, costs + cost
    return sorted((Margin(name, *values) for name, values in sums.items()), key=lambda one: (one.gross_pusd, one.name))
