"""What the queue answers."""

from typing import NamedTuple

from workbench.control.request import Waiting

FULL, TENANT_FULL = "queue full", "tenant's queue full"
LATE, TOO_LATE = "deadline passed", "deadline cannot be met any more"
SOJOURN = "waited too long"


class Dropped(NamedTuple):
    """Shed, and why."""

    item: Waiting
    reason: str


class Pushed(NamedTuple):
    """The item as it waits now (perhaps for a smaller model), or None where it was itself shed; and who was shed."""

    item: Waiting | None
    dropped: tuple[Dropped, ...] = ()


class Popped(NamedTuple):
    """The next to release, None where nobody is left; and who was shed on the way."""

    item: Waiting | None
    dropped: tuple[Dropped, ...] = ()
