"""What can be wrong with money: each is one line, and is raised before anything was changed."""


class Conflict(ValueError):
    """A key that was used before, with another content: two facts, one name."""


class NoPrice(ValueError):
    """Tokens that no version of the price book covers at that time."""


class Overlap(ValueError):
    """Two versions of one price in force at the same time."""


class PeriodClosed(ValueError):
    """An invoice was issued for it: what is late goes to the next one."""


class ClockWentBack(ValueError):
    """Time never goes backwards."""

    def __init__(self, was_ns: int, now_ns: int) -> None:
        super().__init__(f"the clock went back from {was_ns} to {now_ns} ns")
