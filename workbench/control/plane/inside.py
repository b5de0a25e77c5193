"""A request between its arrival and its end, and how many there were of each kind."""

from dataclasses import dataclass, field
from typing import Literal

from workbench.control.cache import CacheKey
from workbench.control.limits import Limits, Reservation
from workbench.control.request import Waiting

# following: another request computes its answer. held: popped, but it fits nowhere yet. later: waits for its retry
Place = Literal["following", "queued", "held", "out", "later"]


@dataclass(slots=True)
class Inside:
    """`out` has the attempts that are at a replica: attempt -> replica."""

    item: Waiting
    pool: str
    most_tok: int  # of output: what was reserved
    place: Place = "queued"
    attempts: int = 0
    out: dict[int, int] = field(default_factory=dict)
    hedge: int = 0  # the attempt that is a second one beside another; 0: none
    hedging: bool = False  # no first byte yet, and a second attempt may come or is there
    spent: tuple[int, int] = 0, 0  # tokens (prompt, output) of attempts that are over while another goes on
    tried: tuple[int, ...] = ()  # replicas where an attempt failed
    rounds: int = 0  # how often all that was out had failed: a second attempt beside another is no round of its own
    sent_tok: int = 0  # output that the client has
    first_ns: int | None = None
    limits: Limits | None = None
    held: Reservation | None = None
    cache: CacheKey | None = None
    leads: bool = False


@dataclass(slots=True)
class Tally:
    """Every request that arrived is inside or in one of the others."""

    arrived: int = 0
    answered: int = 0
    rejected: int = 0
    shed: int = 0
    expired: int = 0
    ok: int = 0
    error: int = 0
    cancelled: int = 0
    ignored: int = 0  # events of attempts that were over: told late
    released: int = 0  # attempts
    left: int = 0  # attempts, cancelled ones included
    hedges: int = 0  # attempts beside another one
    charged_pusd: int = 0
    fenced: int = 0  # replicas that said they were up by a token that is no longer theirs
    unpriced: int = 0  # ended requests with tokens that no price covers

    @property
    def ended(self) -> int:
        return (self.answered + self.rejected + self.shed + self.expired + self.ok + self.error + self.cancelled)
