"""What breaks, and when: data that the driver's machines play."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["replica", "node", "partition", "spot", "slow"]


@dataclass(frozen=True, slots=True)
class Failure:
    """`target` is a replica's number; of a node or a partition the node's name.

    replica: it dies, and is back `down_ns` later (None: never). node: so do all replicas on it, and it is heard of no
    more. partition: the node cannot be reached; its replicas go on computing, but what they say, and what they are
    told, arrives when it heals. spot: the plane is given notice `notice_ns` before the machine is taken away. slow: the
    replica's iterations take `slow_x` times as long from the next one on, for `down_ns`; nobody says so, and only a
    start on another node helps.
    """

    at_ns: int
    target: int | str
    down_ns: int | None = None
    kind: Kind = "replica"
    notice_ns: int = 0
    slow_x: float = 1.0

    def __post_init__(self) -> None:
        of_node = self.kind in ("node", "partition")
        if self.at_ns < 0 or self.notice_ns < 0 or (self.down_ns is not None and self.down_ns < 1):
            raise ValueError(f"{self}: at_ns and notice_ns at least 0, down_ns at least 1")
        if isinstance(self.target, str) != of_node:
            raise ValueError(f"{self}: target of a {self.kind} is {'the name of a node' if of_node else 'a number'}")
        if not (1 < self.slow_x < float("inf") if self.kind == "slow" else self.slow_x == 1):
            raise ValueError(f"{self}: slow_x above 1 for kind slow, 1 for every other")

    @property
    def end_ns(self) -> int | None:
        return None if self.down_ns is None else self.at_ns + self.down_ns
