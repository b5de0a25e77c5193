"""Prometheus text to numbers."""

import contextlib
import math
import re

_LABELS = r'\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}'  # a quoted value may hold anything
_SAMPLE = re.compile(rf"^([A-Za-z_:][\w:]*)(?:{_LABELS})?\s+(\S+)", re.MULTILINE)


def sum_samples(text: str) -> dict[str, float]:
    """Values by name, summed over the label sets; comments and NaN are left out."""
    totals: dict[str, float] = {}
    for name, value in _SAMPLE.findall(text):
        with contextlib.suppress(ValueError):
            if not math.isnan(number := float(value)):
                totals[name] = totals.get(name, 0.0) + number
    return totals
