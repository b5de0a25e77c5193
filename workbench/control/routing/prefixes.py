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

    def matched(self, ids: Sequence[int]) -> dict[int, int]:
        """How many leading blocks each replica has; who has none is not there."""
        found, have = dict[int, int](), -1  # all
        for depth, block in enumerate(ids):
            still = have & self._where.get(block, 0)
            if depth:
                _note(found, have ^ still, depth)
            have = still
            if not have:
                return found
        if ids:
            _note(found, have, len(ids))
        return found

    def sent(self, replica: int, ids: Sequence[int]) -> None:
        kept, where, bit = self._kept.setdefault(replica, OrderedDict()), self._where, 1 << replica
        for block in reversed(ids):  # the beginning is used last, so it goes last
            kept[block] = None
            kept.move_to_end(block)
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


def _note(found: dict[int, int], bits: int, depth: int) -> None:
    while bits:
        bit = bits & -bits
        found[bit.bit_length() - 1] = depth
        bits ^= bit


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
        best, most = candidates[0], 0
        for candidate in candidates:
            if candidate.outstanding < best.outstanding:
                best = candidate
            elif candidate.outstanding > most:
                most = candidate.outstanding
        balanced = (most - best.outstanding <= self.unbalanced
                    or most * 1_000_000 <= self.unbalanced_ppm * best.outstanding)
        if balanced and item.prefix_ids:
            best = self._longest(item.prefix_ids, candidates) or best
        self.record.sent(best.replica, item.prefix_ids)
        return best.replica

    def _longest(self, ids: Sequence[int], candidates: Sequence[Candidate]) -> Candidate | None:
        """Ties to the less busy; None: no match is worth it."""
        lengths, best, longest = self.record.matched(ids), None, 0
        for candidate in candidates if lengths else ():
            length = lengths.get(candidate.replica, 0)
            if length > longest or (best is not None and length == longest
                                    and candidate.outstanding < best.outstanding):
                best, longest = candidate, length
        return best if longest * 1_000_000 >= self.worth_ppm * len(ids) else None


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
        lengths, best, least, worse = self.record.matched(item.prefix_ids), -1, 0, True
        block_tok, load_ppm, kv_full_ppm = self.block_tok, self.load_ppm, self.kv_full_ppm
        oldest_ns = now_ns - self.fresh_ns
        for candidate in candidates:
            signal, replica = candidate.signal, candidate.replica
            bad = signal is not None and (signal.kv_used_ppm > kv_full_ppm or signal.reported_ns < oldest_ns)
            compute = item.prompt_tok - (lengths[replica] * block_tok if replica in lengths else 0)
            mine = (compute if compute > 1 else 1) * 1_000_000 + load_ppm * candidate.outstanding_tok
            if best < 0 or (worse and not bad) or (mine < least and bad == worse):
                best, least, worse = replica, mine, bad
        self.record.sent(best, item.prefix_ids)
        return best
