"""Iteration times that a test can add up by hand."""

from collections.abc import Callable
from dataclasses import dataclass

from sims.replica import Iteration, Replica
from workbench.profile.batch import Batch


@dataclass(frozen=True)
class Linear:
    """step + per prompt token + per decode + per decode context token, in ns."""

    step_ns: int = 1_000
    prefill_ns: int = 10
    decode_ns: int = 100
    ctx_ns: int = 0

    def iteration_ns(self, batch: Batch) -> int:
        return (
            self.step_ns + self.prefill_ns * batch.prefill_tok + self.decode_ns * batch.decode_n
            + self.ctx_ns * batch.decode_ctx_sum_tok
        )


@dataclass(frozen=True)
class Timed:
    """Any function of the batch."""

    of: Callable[[Batch], int]

    def iteration_ns(self, batch: Batch) -> int:
        return self.of(batch)


def drain(replica: Replica, now_ns: int = 0) -> list[Iteration]:
    """Step until idle."""
    found = []
    while (iteration := replica.step(now_ns)) is not None:
        found.append(iteration)
        now_ns = iteration.end_ns
    return found
