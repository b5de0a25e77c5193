"""What this gateway has sent where: the longest prefix that a replica has probably still in its cache."""

from collections import OrderedDict
from collections.abc import Sequence

from workbench.control.limits.answer import whole
from workbench.control.request import Waiting
from workbench.control.routing.protocol import Candidate


class PrefixRecord:
    """Block ids sent to each replica, the `blocks` used last kept, as the replica itself would (LRU).

    An estimate: the replica may have dropped more, or less. Looking and noting cost one step a block.
    """

    def __init__(self, blocks: int = 4096) -> None:
        self.blocks = whole("blocks", blocks)
        self._kept: dict[int, OrderedDict[int, None]] = {}
        self._where: dict[int, int] = {}  # block id -> replicas that have it, one bit each

    def matched(self, ids: Sequence[int], candidates: Sequence[Candidate]) -> list[int]:
        """How many leading blocks each candidate has."""
        lengths, able = [0] * len(candidates), sum(1 << candidate.replica for candidate in candidates)
        for depth, block in enumerate(ids):
            still = able & self._where.get(block, 0)
            if still != able:
                for i, candidate in enumerate(candidates):
                    if (able ^ still) >> candidate.replica & 1:
                        lengths[i] = depth
                able = still
                if not able:
                    return lengths
        return [len(ids) if able >> c.replica & 1 else lengths[i] for i, c in enumerate(candidates)]

    def sent(self, replica: int, ids: Sequence[int]) -> None:
        kept, where, bit = self._kept.setdefault(replica, OrderedDict()), self._where, 1 << replica
        for block in reversed(ids):  # the beginning is used last, so it goes last
            if block in kept:
                kept.move_to_end(block)
            else:
                kept[block] = None
                where[block] = where.get(block, 0) | bit
        while len(kept) > self.blocks:
            self._drop(kept.popitem(last=False)[0], bit)

    def forget(self, replica: int) -> None:
        """It restarted: its cache is empty."""
        for block in self._kept.pop(replica, ()):
            self._drop(block, 1 << replica)

    def __len__(self) -> int:
        """Different blocks remembered."""
        return len(self._where)

    def _drop(self, block: int, bit: int) -> None:
        left = self._where[block] & ~bit
        if left:
            self._where[block] = left
        else:
            del self._where[block]


class LongestPrefix:
    """The replica with the longest matching prefix, unless the fleet is out of balance: then the least busy.

    Out of balance: most - least outstanding > `unbalanced`, and most > `unbalanced_ppm` of least. A match below
    `worth_ppm` of the prompt's blocks counts as none. So until the next request is over, no replica is picked by prefix
    once it is more than `unbalanced` ahead and more than that ratio.
    Source: SGLang's cache-aware router (sgl-router, policies/cache_aware.rs: balance_abs_threshold 64,
    balance_rel_threshold 1.5, cache_threshold 0.3).
    """

    def __init__(self, blocks: int = 4096, unbalanced: int = 64, unbalanced_ppm: int = 1_500_000,
                 worth_ppm: int = 300_000) -> None:
        self.record = PrefixRecord(blocks)
        self.unbalanced, self.worth_ppm = whole("unbalanced", unbalanced, 0), whole("worth_ppm", worth_ppm, 0)
        self.unbalanced_ppm = whole("unbalanced_ppm", unbalanced_ppm, 1_000_000)

    def pick(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> int:  # noqa: ARG002 - protocol
        best = min(candidates, key=_busy)
        most = max(candidate.outstanding for candidate in candidates)
        balanced = (most - best.outstanding <= self.unbalanced
                    or most * 1_000_000 <= self.unbalanced_ppm * best.outstanding)
        if balanced and item.prefix_ids:
            lengths = self.record.matched(item.prefix_ids, candidates)
            longest = max(lengths)
            if longest and longest * 1_000_000 >= self.worth_ppm * len(item.prefix_ids):
                best = min((c for c, n in zip(candidates, lengths, strict=True) if n == longest), key=_busy)
        self.record.sent(best.replica, item.prefix_ids)
        return best.replica


class KvAware:
    """Least work: prompt tokens this replica would have to compute, plus `load_ppm` of the tokens it has out.

    A replica whose reported KV use is above `kv_full_ppm`, or whose report is older than `fresh_ns`, is taken only
    where all are. Source: NVIDIA Dynamo's KV router (overlap weight x prefill blocks + active blocks), in tokens.
    """

    def __init__(self, block_tok: int = 16, blocks: int = 4096, load_ppm: int = 1_000_000,
                 kv_full_ppm: int = 950_000, fresh_ns: int = 10_000_000_000) -> None:
        self.record, self.block_tok = PrefixRecord(blocks), whole("block_tok", block_tok)
        self.load_ppm, self.kv_full_ppm = whole("load_ppm", load_ppm, 0), whole("kv_full_ppm", kv_full_ppm)
        self.fresh_ns = whole("fresh_ns", fresh_ns)

    def pick(self, now_ns: int, item: Waiting, candidates: Sequence[Candidate]) -> int:
        able = [c for c in candidates if c.signal is None or (c.signal.kv_used_ppm <= self.kv_full_ppm
                                                              and now_ns - c.signal.reported_ns <= self.fresh_ns)]
        able = able or list(candidates)
        best, least = -1, 0
        for candidate, blocks in zip(able, self.record.matched(item.prefix_ids, able), strict=True):
            compute = max(1, item.prompt_tok - blocks * self.block_tok)
            cost = compute * 1_000_000 + self.load_ppm * candidate.outstanding_tok
            if best < 0 or cost < least:
                best, least = candidate.replica, cost
        self.record.sent(best, item.prefix_ids)
        return best


def _busy(candidate: Candidate) -> tuple[int, int]:
    return candidate.outstanding, candidate.replica
