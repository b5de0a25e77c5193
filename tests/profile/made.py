"""Iterations with a known truth."""

from collections.abc import Callable

import numpy as np

from workbench.profile.batch import Batch
from workbench.profile.samples import Origin, Sample, sample

Truth = Callable[[Batch], float]
MAX_DECODES = 6


def small(batch: Batch) -> float:
    """Nanoseconds of the sufficient model: whole numbers, so exact."""
    return 1_200_000 + 900_000 * batch.prefill_tok + 1_800_000 * batch.decode_n


def full(batch: Batch) -> float:
    """Every feature matters."""
    return (
        2_000_000 + 700_000 * (batch.ubatch_n - 1) + 500_000 * batch.prefill_tok + 900 * batch.prefill_attended_tok
        + 1_000_000 * batch.decode_n + 1_500 * batch.decode_ctx_sum_tok
    )


def bent(batch: Batch) -> float:
    """Decodes that saturate, then jump: no straight line."""
    steps = (1.0, 3.0, 3.1, 3.2, 9.0, 9.5, 9.6)
    return 1e6 * steps[batch.decode_n] + 400_000 * batch.prefill_tok


def batch(rng: np.random.Generator) -> Batch:
    decodes = int(rng.integers(0, MAX_DECODES + 1))
    prompts = int(rng.integers(1, 3)) if decodes == 0 or rng.random() < 0.2 else 0
    prefills = tuple((int(rng.integers(8, 400)), int(rng.integers(0, 2)) * 512) for _ in range(prompts))
    ctx = rng.integers(50, 900, decodes)
    high, low = int(ctx.max(initial=0)), int(ctx.min(initial=0))
    return Batch(prefills, decodes, int(ctx.sum()), high, low, int(rng.integers(1, 4)))


def samples(
    truth: Truth, n: int = 600, *, seed: int = 1, noise_frac: float = 0.0, run: str = "live-1",
    origin: Origin = "live", speed: Callable[[float], float] = lambda _: 1.0,
) -> list[Sample]:
    """One run after the other; `speed` multiplies the time, given how far into the run (0 to 1)."""
    rng, at_ns, found = np.random.default_rng(seed), 0, []
    for i in range(n):
        one = batch(rng)
        noise = rng.gamma(1 / noise_frac**2, noise_frac**2) if noise_frac else 1.0
        took_ns = round(truth(one) * noise * speed(i / n))
        found.append(sample(one, took_ns, origin=origin, at_ns=at_ns, run=run))
        at_ns += took_ns
    return found
