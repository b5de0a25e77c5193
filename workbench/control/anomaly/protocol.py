"""What a detector says."""

from typing import NamedTuple, Protocol

PPM = 1_000_000


class Alarm(NamedTuple):
    """Something changed, or burns."""

    at_ns: int
    what: str  # rule or direction
    severity: str  # page, ticket, notice
    value: int  # what was seen, in the unit of the detector
    limit: int  # what it exceeded
    unit: str = ""  # milli_rate (of what a budget allows), milli_spread (of the usual), pusd; "": the value's own


class Detector(Protocol):
    """One value in regular steps. After an alarm it begins anew."""

    def update(self, now_ns: int, value: int) -> Alarm | None:
        """The alarm that this value raises."""
        ...


def whole_or_less(name: str, value: int) -> int:
    """An int, of either sign."""
    if value.__class__ is not int:
        raise ValueError(f"{name} {value!r}: must be a whole number")
    return value
