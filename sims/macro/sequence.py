"""A request inside a macro-step replica, and where it is written down what happens to it."""

from array import array
from collections.abc import Sequence
from typing import Protocol

from sims.replica import Job
from workbench.runlog.schema import Planned


class Columns(Protocol):
    """By a sequence's index: what is asked, and when its prompt began, its first token came and so on."""

    start_ns: "array[int]"
    first_ns: "array[int]"
    cached_tok: "array[int]"
    preemptions: "array[int]"

    @property
    def schedule(self) -> Sequence[Planned]: ...


class Seq:
    """While it decodes, one counter of the replica says where it is: `base + counter` tokens of it are in the KV cache,
    and it is over when the counter has reached `finish`. Nothing of it is touched in between."""

    __slots__ = ("base", "finish", "first", "index", "job", "kv_tok", "left_tok", "most_blocks", "target_tok")

    def __init__(self, index: int, prompt_tok: int, output_tok: int, most_blocks: int) -> None:
        self.index = index  # place in the schedule
        self.target_tok = prompt_tok  # to compute before it decodes; after a preemption also what it had emitted
        self.left_tok = output_tok  # still to emit, when it is not decoding
        self.most_blocks = most_blocks  # KV blocks that it needs at its end
        self.kv_tok = 0  # computed of its prompt
        self.first = -1  # the segment in which its span began
        self.base = self.finish = 0
        self.job: Job | None = None  # the oracle's own object, where blocks are counted exactly


Entry = tuple[int, int, Seq]  # (finish, order of admission, sequence): the heap of decodes
