"""Collectives between accelerators, from a link's bandwidth and latency: the textbook ring."""

from pydantic import Field

from workbench.config import Settings

NS_PER_S = 1_000_000_000


class Link(Settings):
    """One accelerator's connection to its neighbour in the ring."""

    bytes_per_s: int = Field(ge=1)
    latency_ns: int = Field(ge=0)

    def all_reduce_ns(self, size_bytes: int, ranks: int) -> int:
        """Everybody ends with the sum of everybody's `size_bytes`: 2 (ranks - 1) steps of one part each."""
        return 2 * self._pass_ns(size_bytes, ranks)

    def all_gather_ns(self, size_bytes: int, ranks: int) -> int:
        """Everybody ends with all of `size_bytes`, of which each brought one part: ranks - 1 steps."""
        return self._pass_ns(size_bytes, ranks)

    def reduce_scatter_ns(self, size_bytes: int, ranks: int) -> int:
        """Everybody ends with one part of the sum of everybody's `size_bytes`: ranks - 1 steps."""
        return self._pass_ns(size_bytes, ranks)

    def _pass_ns(self, size_bytes: int, ranks: int) -> int:
        if ranks <= 1:
            return 0
        part_ns = -(-size_bytes * NS_PER_S // (ranks * self.bytes_per_s))
        return (ranks - 1) * (self.latency_ns + part_ns)
