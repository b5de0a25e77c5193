"""A KV cache in blocks of equal size, shared by all requests of an engine: how vLLM v1 hands them out.

What a scheduler, single-step or jumping, may ask (`KvCache`):

    hit = kv.look(job)                     # what is cached of its prompt; nothing changes
    kv.admit(job, hit, tok, fit_tok) -> bool    # take the hit, and blocks up to `tok` tokens in all
    kv.grow(job, tok) -> bool              # blocks up to `tok` tokens in all; False, and nothing taken, when short
    kv.take(n)                             # n blocks for decodes of many iterations; add them to each job's `blocks`
    kv.release(job)                        # it finished or left
    kv.preempt(job)                        # the same, but it will look for its own blocks when it comes back
    kv.free, kv.capacity, kv.blocks(tok)

A job's own part is on the job: `blocks` it holds, and with prefix caching `shared`, its first blocks that others can
find. Decodes never make a block that others can find, so that their blocks are a mere count.
"""

from typing import Protocol

from sims.replica.job import Hit, Job

NOTHING = Hit()


class KvCache(Protocol):
    """Invariant: `free` + the blocks held, each counted once == `capacity`."""

    capacity: int
    block_tok: int
    free: int

    def blocks(self, tok: int) -> int: ...

    def look(self, job: Job) -> Hit: ...

    def admit(self, job: Job, hit: Hit, tok: int, fit_tok: int = 0) -> bool:
        """False, and nothing taken, unless `tok` tokens and also `fit_tok` tokens would find room."""
        ...

    def grow(self, job: Job, tok: int) -> bool: ...

    def take(self, n: int) -> None: ...

    def release(self, job: Job) -> None: ...

    def preempt(self, job: Job) -> None: ...


class CountedBlocks:
    """Without prefix caching only the number matters."""

    def __init__(self, capacity: int, block_tok: int) -> None:
        self.capacity, self.block_tok, self.free = capacity, block_tok, capacity

    def blocks(self, tok: int) -> int:
        return -(-tok // self.block_tok)

    def look(self, job: Job) -> Hit:  # noqa: ARG002  the protocol's
        return NOTHING

    def admit(self, job: Job, hit: Hit, tok: int, fit_tok: int = 0) -> bool:  # noqa: ARG002  the protocol's
        return -(-fit_tok // self.block_tok) <= self.free and self.grow(job, tok)

    def grow(self, job: Job, tok: int) -> bool:
        more = -(-tok // self.block_tok) - job.blocks
        if more > self.free:
            return False
        if more > 0:
            self.free -= more
            job.blocks += more
        return True

    def take(self, n: int) -> None:
        self.free -= n

    def release(self, job: Job) -> None:
        self.free += job.blocks
        job.blocks = 0

    def preempt(self, job: Job) -> None:
        self.release(job)
