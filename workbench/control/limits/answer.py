"""What a limiter is asked and what it answers."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

# of a limiter with one level the key itself; of several one key for each name
Keys = str | Mapping[str, str]


class UnknownLevel(ValueError):
    """A key for a level that the limiter has not, or none for one that it has."""


class UnknownReservation(ValueError):
    """It was settled before, it expired, or it never was."""


class Answer(NamedTuple):
    """Admitted or not. Asking alone never changes what a later ask is told, unless it was admitted."""

    admitted: bool
    retry_after_ns: int | None  # least wait until this ask is admitted if nobody else comes; None: it never can be
    remaining: int  # the largest amount that would still be admitted now, after this ask
    level: str = ""  # who refused; of several the one that refuses longest


class Reservation(NamedTuple):
    """An amount taken in advance. Settle it once, by commit or refund; at `expires_ns` it counts as used."""

    id: str
    keys: Keys
    amount: int
    at_ns: int
    expires_ns: int


class Limiter(Protocol):
    """`Limits` in this process, or its twin in Redis."""

    def ask(self, now_ns: int, keys: Keys, amount: int = 1) -> Answer:
        """Take the amount if every level has room for it, otherwise nothing."""
        ...

    def reserve(self, now_ns: int, keys: Keys, amount: int) -> Reservation | Answer:
        """As ask, for an amount known only later: the refusal, or what to settle. Reserve the most it can be."""
        ...

    def commit(self, now_ns: int, reservation: Reservation, used: int) -> None:
        """So much it was. Less than reserved: the rest is given back. More: the excess is debt, paid before the
        next ask is admitted. Raises UnknownReservation."""
        ...

    def refund(self, now_ns: int, reservation: Reservation) -> None:
        """It never ran: all is given back, the request included. Raises UnknownReservation."""
        ...


class Meter(Protocol):
    """The arithmetic of one limit, a small state for each key. Time never goes back; amounts are whole and >= 1."""

    def look(self, now_ns: int, key: str, amount: int) -> Answer:
        """What an ask would be told; changes nothing."""
        ...

    def take(self, now_ns: int, key: str, amount: int) -> None:
        """Charge it, also beyond the limit."""
        ...

    def give(self, now_ns: int, key: str, taken_ns: int, amount: int) -> None:
        """Undo a part of what was taken at `taken_ns`, as far as time has not undone it already."""
        ...

    def purge(self, now_ns: int) -> None:
        """Forget every key whose state says no more than that of a key never seen."""
        ...

    def __len__(self) -> int:
        """Keys remembered."""
        ...


def whole(name: str, value: int, least: int = 1) -> int:
    """The value, if it is an int and large enough; ValueError otherwise."""
    if value.__class__ is not int or value < least:
        raise ValueError(f"{name} {value!r}: must be a whole number of at least {least}")
    return value
