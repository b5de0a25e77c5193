"""What is done in regular steps."""

from workbench.control.limits.answer import whole


class Ticks:
    """The multiples of `every_ns`, the first one at `every_ns`; where the clock jumped over several, one."""

    def __init__(self, every_ns: int) -> None:
        self.every_ns = self.next_ns = whole("every_ns", every_ns)

    def due(self, now_ns: int) -> bool:
        """Then the next one is meant from now on."""
        if now_ns < self.next_ns:
            return False
        self.next_ns = (now_ns // self.every_ns + 1) * self.every_ns
        return True
