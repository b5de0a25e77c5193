"""pass@k: how often one of k sampled answers passes, estimated from n of them (arXiv 2107.03374, section 2.1)."""

from collections.abc import Sequence
from fractions import Fraction
from math import comb

from workbench.errors import UsageError


def pass_at_k(samples: int, passed: int, k: int) -> Fraction:
    """Unbiased and exact: the share of the sets of k among `samples` answers that hold one of the `passed`."""
    if not 0 <= passed <= samples:
        raise UsageError(f"pass@{k}: {passed} passed of {samples} samples")
    if not 1 <= k <= samples:
        raise UsageError(f"pass@{k}: needs k from 1 to the number of samples, {samples}; draw more samples")
    return 1 - Fraction(comb(samples - passed, k), comb(samples, k))


def mean_pass_at_k(items: Sequence[tuple[int, int]], k: int) -> Fraction:
    """Over tasks, each (samples, passed)."""
    if not items:
        raise UsageError(f"pass@{k}: no task")
    return sum((pass_at_k(samples, passed, k) for samples, passed in items), Fraction()) / len(items)
