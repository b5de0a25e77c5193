"""Calculators (appendix F): each declared once with inputs, units, ranges; notebooks and the offline page read them."""

from workbench.economics.calculators import (
    break_even,
    ceiling,
    energy,
    memory,
    own_or_rent,
    per_token,
    roi,
    spot,
    tier_price,
    users,
)
from workbench.economics.calculators.declare import Calculator, Input, Output

CALCULATORS: tuple[Calculator, ...] = tuple(module.CALCULATOR for module in (
    memory, ceiling, per_token, break_even, own_or_rent, spot, users, tier_price, energy, roi))

__all__ = ["CALCULATORS", "Calculator", "Input", "Output"]
