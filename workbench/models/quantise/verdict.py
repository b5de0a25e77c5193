"""Is a reloaded model what was made? Its perplexity against what the format explains, else against the original."""

from __future__ import annotations

import math
from dataclasses import dataclass

NEAR = 1.05  # engines and kernels round differently: seen up to 1.01 with int8 activations
FAR = 1.5    # without an explanation: more than any 8- or 4-bit method here costs, far less than garbage


@dataclass(frozen=True, slots=True)
class Verdict:
    good: bool
    words: str


def judge(found: float, original: float, expected: float | None = None) -> Verdict:
    """`expected` is what the quantised weights give by another way: in the quantiser's memory, or dequantised by us.

    With it the reload must agree within 5 %, however much the format lost; without it 1.5 times the original's
    perplexity is the limit.
    """
    against, limit, name = (original, FAR, "the original's") if expected is None else (expected, NEAR, "the expected")
    if not math.isfinite(found) or found <= 0:
        return Verdict(False, f"perplexity {found}: no answer")
    if math.isinf(against):
        return Verdict(True, f"perplexity {found:.4g}; {name} is infinite")
    ratio = found / against
    good = ratio <= limit and (expected is None or ratio >= 1 / limit)
    return Verdict(good, f"perplexity {found:.4g}, {name} {against:.4g}" + ("" if good else f": {ratio:.3g} times"))
