"""What the control plane asks of an order of release."""

from collections.abc import Sequence
from typing import Protocol

from workbench.control.request import Waiting


class Scheduler(Protocol):
    """Requests that wait, and which is next. A request waits at most once at a time; the clock never goes back."""

    def push(self, now_ns: int, item: Waiting) -> None:
        """It waits from now on. One that was preempted comes again with its old sequence."""
        ...

    def pop(self, now_ns: int) -> Waiting:
        """The next to release; it waits no longer. ValueError where nobody waits."""
        ...

    def peek(self, now_ns: int) -> Waiting:
        """Who pop would give now."""
        ...

    def remove(self, now_ns: int, request_id: str) -> Waiting | None:
        """Cancelled or shed while waiting; None where it does not wait."""
        ...

    def charge(self, now_ns: int, request_id: str, prompt_tok: int, output_tok: int, done: bool = True) -> None:
        """So much service this released request has really had, in all. Once with `done` when it leaves the
        replica (also cancelled or preempted: then what was computed), before that as often as progress is known."""
        ...

    def waiting(self, tenant: str) -> int:
        """Requests of this tenant that wait."""
        ...

    def __len__(self) -> int: ...


class Preemptive(Scheduler, Protocol):
    """An order that may take a place back before the first byte went out."""

    def victim(self, now_ns: int, running: Sequence[Waiting]) -> Waiting | None:
        """Who of these (released, no byte sent, places all taken) gives way to the next; None: nobody.

        The plane cancels it, charges what was computed, and pushes it again; computing that once more is the
        driver's cost.
        """
        ...
