"""KV cache in blocks of equal size: who holds how many."""


class BlockPool:
    """Blocks held per owner. `capacity` None: never full, so nothing is counted.

    Invariant: `free + sum of held == capacity` at every moment.
    """

    def __init__(self, capacity: int | None, block_tok: int) -> None:
        self.capacity, self.block_tok = capacity, block_tok
        self.free = capacity or 0
        self.held: dict[str, int] = {}

    def blocks(self, tok: int) -> int:
        return -(-tok // self.block_tok)

    def grow(self, owner: str, tok: int) -> bool:
        """Make room for `tok` tokens in all; False, and nothing taken, when the free blocks do not suffice."""
        if self.capacity is None:
            return True
        more = self.blocks(tok) - self.held.get(owner, 0)
        if more > self.free:
            return False
        if more > 0:
            self.free -= more
            self.held[owner] = self.held.get(owner, 0) + more
        return True

    def release(self, owner: str) -> None:
        self.free += self.held.pop(owner, 0)
