"""How many passes of the compute graph llama.cpp needs for one batch."""

from collections.abc import Sequence


def passes(lengths: Sequence[tuple[int, int]], n_ubatch: int, unified: bool) -> int:
    """Number of ubatches for (slot id, tokens) in batch order.

    With a KV cache per slot, a ubatch holds sequences of consecutive slot ids with equally many tokens each:
    slots 0 to 3 decode in one pass, slots 0, 2, 4, 6 in four. With a unified cache only the size counts.
    """
    if unified:
        return max(1, -(-sum(tok for _, tok in lengths) // n_ubatch))
    left = [[slot, tok] for slot, tok in lengths]
    count = 0
    while left:
        group = _consecutive(left, n_ubatch)
        take = min(min(tok for _, tok in group), max(1, n_ubatch // len(group)))
        for item in group:
            item[1] -= take
        left = [item for item in left if item[1]]
        count += 1
    return max(1, count)


def _consecutive(left: list[list[int]], n_ubatch: int) -> list[list[int]]:
    """The first sequence and every later one whose slot id is one more than the last taken."""
    group = [left[0]]
    for item in left[1:]:
        if item[0] == group[-1][0] + 1 and len(group) < n_ubatch:
            group.append(item)
    return group
