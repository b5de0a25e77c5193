"""Groups of GPUs on nodes: a tensor-parallel group within one node, all of a replica or nothing."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from workbench.control.limits.answer import whole

MOST_GPUS = 10_000


class Place(NamedTuple):
    """GPUs of one node, by index."""

    node: str
    gpus: tuple[int, ...]


class Group(NamedTuple):
    """`pp` stages of `tp` GPUs each. Stages may lie on different nodes: between them go activations only, within
    them an all-reduce for each layer, which needs the node's own links."""

    id: str
    tp: int = 1
    pp: int = 1
    priority: int = 0  # lower is placed first when there is too little
    spread: bool = False  # no two stages on one node


class Refused(NamedTuple):
    """Nothing was placed."""

    why: str


class Placement:
    """Best fit: the fullest node that has room, so that whole nodes stay free for large groups; ties by name.

    Best fit may refuse what another packing could hold; it never moves what runs.
    """

    def __init__(self, nodes: Mapping[str, int]) -> None:
        if not isinstance(nodes, Mapping):
            raise ValueError(f"nodes {nodes!r:.60}: must be a table of nodes, each with its number of GPUs: a = 8")
        self._free: dict[str, list[int]] = {}
        self._size: dict[str, int] = {}
        for node in sorted(nodes):
            self.add(node, nodes[node])
        self._placed: dict[str, tuple[Place, ...]] = {}

    def add(self, node: str, gpus: int) -> None:
        if node in self._size:
            raise ValueError(f"node {node}: is there already")
        if whole(f"nodes.{node}", gpus) > MOST_GPUS:
            raise ValueError(f"nodes.{node} {gpus}: a node has at most {MOST_GPUS} GPUs")
        self._size[node] = gpus
        self._free[node] = list(range(gpus))
        self._free = {name: self._free[name] for name in sorted(self._free)}

    def place(self, group: Group, exclude: Sequence[str] = ()) -> tuple[Place, ...] | Refused:
        """All stages or none. `exclude`: nodes that take nothing now."""
        for name, value in (("tp", group.tp), ("pp", group.pp)):
            whole(f"group {group.id}: {name}", value)
        if group.id in self._placed:
            raise ValueError(f"group {group.id}: is placed already; remove it first")
        largest = max(self._size.values(), default=0)
        if group.tp > largest:
            return Refused(f"tp {group.tp} is more than the {largest} GPUs of the largest node")
        room = {node: len(free) for node, free in self._free.items() if node not in exclude}
        chosen: list[str] = []
        for stage in range(group.pp):
            fits = [n for n, free in room.items() if free >= group.tp and not (group.spread and n in chosen)]
            if not fits:
                return Refused(f"no node has {group.tp} GPUs free for stage {stage} of {group.pp}")
            node = min(fits, key=lambda n: (room[n], n))
            room[node] -= group.tp
            chosen.append(node)
        places = []
        for node in chosen:
            places.append(Place(node, tuple(self._free[node][: group.tp])))
            del self._free[node][: group.tp]
        self._placed[group.id] = tuple(places)
        return self._placed[group.id]

    def remove(self, group_id: str) -> tuple[Place, ...]:
        """Its GPUs are free again."""
        if group_id not in self._placed:
            raise ValueError(f"group {group_id}: is not placed")
        places = self._placed.pop(group_id)
        for node, gpus in places:
            self._free[node] = sorted(self._free[node] + list(gpus))
        return places

    def places(self, group_id: str) -> tuple[Place, ...]:
        return self._placed.get(group_id, ())

    def on(self, node: str) -> tuple[str, ...]:
        """Groups with a stage there."""
        return tuple(g for g, places in self._placed.items() if any(p.node == node for p in places))

    def free(self, node: str) -> int:
        return len(self._free[node])

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(self._free)
