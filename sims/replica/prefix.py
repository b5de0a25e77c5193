"""Prefix caching as vLLM v1 does it: full blocks are found by what they hold, and the longest unused go first.

The free queue is popped at its head. Blocks of a request that leaves are appended last block first, so that its tail
is evicted before its beginning; a free block that is hit leaves the queue, wherever it is.

Most blocks can never be hit again (generated tokens, the unshared end of a prompt), so one entry of the queue is a
whole run of them: handing out 100 blocks costs one step. Only blocks of a prefix that has an id are objects.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import islice

from sims.replica.job import Block, Hit, Job, Request, Run

_ROOM = 1024  # entries of the queue beyond twice the capacity before it is cleaned


def block_keys(request: Request, block_tok: int) -> Sequence[int]:
    """One key per full block of the shareable part of a prompt; equal keys mean equal tokens up to its end.

    The ids are per `prefix_tok` tokens. A block is known by the id that covers its end, and by its place there:
    with ids on a coarser grid, sharing inside the last common id is not seen.
    """
    ids, per_id_tok = request.prefix_ids, request.prefix_tok
    if not ids:
        return ids
    ids = ids[: request.prompt_tok // per_id_tok]  # the id of a block begun does not say where the prompt ends in it
    if per_id_tok == block_tok:
        return ids
    places = -(-per_id_tok // block_tok)
    keys = []
    for end_tok in range(block_tok, len(ids) * per_id_tok + 1, block_tok):
        which = (end_tok - 1) // per_id_tok
        keys.append(ids[which] * places + ((which + 1) * per_id_tok - end_tok) // block_tok)
    return keys


class PrefixBlocks:
    """Implements `KvCache`. With `host_blocks`, evicted prefix blocks move to host memory, least recently used out.

    Entries of the queue: a number of blocks that nobody can find, a `Block` that can be found, or the `Run` of a
    preempted request's own blocks. Entries of blocks that were hit stay behind and are skipped (`Block.stale`).
    """

    def __init__(self, capacity: int, block_tok: int, host_blocks: int = 0) -> None:
        self.capacity, self.block_tok, self.free = capacity, block_tok, capacity
        self.host_blocks = host_blocks
        self._queue: deque[int | Block | Run] = deque([capacity])
        self._index: dict[int, Block] = {}
        self._copies: dict[int, list[Block]] = {}  # further blocks with the same content, oldest first
        self._host: OrderedDict[int, None] = OrderedDict()

    def blocks(self, tok: int) -> int:
        return -(-tok // self.block_tok)

    def look(self, job: Job) -> Hit:
        """The last token is always computed, so of a prompt that is cached whole the last block is not a hit."""
        if job.keys is None:
            job.keys = block_keys(job.request, self.block_tok)
        most = (job.target_tok - 1) // self.block_tok
        index, found = self._index, []
        for key in islice(job.keys, most):
            block = index.get(key)
            if block is None:
                break
            found.append(block)
        hosted = own = 0
        if len(found) < len(job.keys):
            hosted = self._hosted(job.keys, len(found), most) if self._host else 0
        elif job.survivors is not None:
            own = min(job.survivors.count, most - len(found))
        return Hit((len(found) + hosted + own) * self.block_tok, found, own, hosted)

    def admit(self, job: Job, hit: Hit, tok: int, fit_tok: int = 0) -> bool:
        idle = sum(not block.refs for block in hit.found) + hit.own
        kept = len(hit.found) + hit.own
        if self.blocks(max(tok, fit_tok)) - kept + idle > self.free:
            return False
        for block in hit.found:
            if not block.refs:
                block.stale += 1
            block.refs += 1
        self._reclaim(job, hit.own)
        self.free -= idle
        job.shared = list(hit.found)
        job.blocks = kept
        for key in islice(job.keys or (), len(hit.found), len(hit.found) + hit.hosted):
            self._host.move_to_end(key)
        return self.grow(job, tok)

    def grow(self, job: Job, tok: int) -> bool:
        """Blocks of the shareable prompt that `tok` tokens fill can be found from now on."""
        more = -(-tok // self.block_tok) - job.blocks
        if more > self.free:
            return False
        if more > 0:
            self.take(more)
            job.blocks += more
        keys, have = job.keys, len(job.shared)
        if keys and have < len(keys):
            for key in islice(keys, have, tok // self.block_tok):
                self._publish(job, key)
        return True

    def take(self, n: int) -> None:
        """`n` blocks from the head of the queue; what they held is forgotten. The caller knows that they are free."""
        self.free -= n
        queue = self._queue
        while n:
            head = queue[0]
            if isinstance(head, int):
                if head > n:
                    queue[0] = head - n
                    return
                n -= head
                queue.popleft()
            elif isinstance(head, Run):
                part = min(n, head.count)
                head.count -= part
                n -= part
                if not head.count:
                    queue.popleft()
            else:
                queue.popleft()
                if head.stale:
                    head.stale -= 1
                else:
                    self._forget(head)
                    n -= 1

    def release(self, job: Job) -> None:
        self._give(job.blocks - len(job.shared))
        self._unshare(job)

    def preempt(self, job: Job) -> None:
        """Its full blocks that only itself can find stay one run, evicted from the tail."""
        own = max(0, (job.kv_tok - job.late_tok) // self.block_tok - len(job.shared))
        self._give(job.blocks - len(job.shared) - own)
        if own:
            job.survivors = Run(own)
            self._queue.append(job.survivors)
            self.free += own
        self._unshare(job)

    def _give(self, n: int) -> None:
        """Back to the end of the queue, where nobody will find them."""
        if not n:
            return
        self.free += n
        last = self._queue[-1] if self._queue else None
        if isinstance(last, int):
            self._queue[-1] = last + n
        else:
            self._queue.append(n)

    def _unshare(self, job: Job) -> None:
        append = self._queue.append
        for block in reversed(job.shared):
            block.refs -= 1
            if not block.refs:
                self.free += 1
                append(block)
        job.shared, job.blocks = [], 0
        if len(self._queue) > 2 * self.capacity + _ROOM:
            self._clean()

    def _publish(self, job: Job, key: int) -> None:
        block = Block(key)
        job.shared.append(block)
        if self._index.setdefault(key, block) is not block:
            self._copies.setdefault(key, []).append(block)

    def _forget(self, block: Block) -> None:
        """Evicted. The oldest other block of the same content, if any, is found from now on."""
        key, copies = block.key, self._copies.get(block.key)
        if copies is None:
            del self._index[key]
            self._to_host(key)
            return
        if self._index[key] is block:
            self._index[key] = copies.pop(0)
        else:
            copies.remove(block)
        if not copies:
            del self._copies[key]

    def _reclaim(self, job: Job, own: int) -> None:
        """Its own blocks leave the queue; those not wanted stay there as blocks that nobody finds."""
        run, job.survivors = job.survivors, None
        if run is not None:
            run.count -= own

    def _hosted(self, keys: Sequence[int], first: int, most: int) -> int:
        count = 0
        for key in islice(keys, first, most):
            if key not in self._host:
                break
            count += 1
        return count

    def _to_host(self, key: int) -> None:
        if self.host_blocks:
            self._host[key] = None
            self._host.move_to_end(key)
            if len(self._host) > self.host_blocks:
                self._host.popitem(last=False)

    def _clean(self) -> None:
        """Drop the entries left behind: of a block's entries the last is the valid one, if it is free."""
        kept: deque[int | Block | Run] = deque()
        for entry in self._queue:
            if isinstance(entry, Block) and entry.stale:
                entry.stale -= 1
            elif not (isinstance(entry, Run) and not entry.count):
                kept.append(entry)
        self._queue = kept
