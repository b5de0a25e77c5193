"""What the plane tells its operations, and in which order they act."""

from workbench.control.plane.desk import Desk
from workbench.control.plane.events import Notice, ReplicaUp
from workbench.control.plane.inside import Inside


class Operations:
    """Works on the desk, appends to its decisions."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def arrived(self, state: Inside) -> None:
        """It came in, whatever becomes of it."""

    def first_token(self, now_ns: int, state: Inside) -> None:
        """Its client has the first byte."""

    def charged(self, tenant: str, price_pusd: int) -> None:
        """Posted to the ledger."""

    def ended(self, now_ns: int, state: Inside, outcome: str, met: bool | None) -> None:
        """`outcome` as in the tally; `met`: its tier's targets (None: it has none)."""

    def up(self, now_ns: int, event: ReplicaUp) -> None:
        self.desk.fleet.turned(event.replica, True)

    def down(self, now_ns: int, replica: int) -> None:
        """It takes no requests any more; the fleet knows."""

    def heartbeat(self, now_ns: int, node: str) -> None:
        """A node was heard of."""

    def notice(self, now_ns: int, event: Notice) -> None:
        """A replica is to be taken away."""

    def after(self, now_ns: int) -> None:
        """All that the event brought is decided."""

    def on_time(self, now_ns: int) -> None:
        """What became due."""

    def due_ns(self) -> int | None:
        return None

    def check(self) -> None:
        """RuntimeError says which replica is lost."""
