"""Into the line, and out of it."""

from workbench.control.plane.desk import Desk
from workbench.control.plane.inside import Inside, Place
from workbench.control.queueing.outcome import Dropped


def enqueue(desk: Desk, now_ns: int, state: Inside) -> tuple[Dropped, ...]:
    """It waits from now on, perhaps for a smaller model; who had to go for it, itself perhaps, is told."""
    state.place = "queued"
    pushed = desk.lines[state.pool].queue.push(now_ns, state.item)
    if pushed.item is not None:
        state.item = pushed.item
    return pushed.dropped


def wait(desk: Desk, state: Inside, place: Place) -> None:
    """Somewhere no queue watches its deadline."""
    state.place = place
    if state.item.deadline_ns is not None:
        desk.patience.add(state.item.deadline_ns + 1, state.item)
