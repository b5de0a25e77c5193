"""One limit or a hierarchy of them: all admit, or nobody is charged. Reserve, then commit or refund."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from workbench.control.limits.answer import (
    Answer,
    Keys,
    Meter,
    Reservation,
    UnknownLevel,
    UnknownReservation,
    whole,
)

EXPIRE_NS = 600 * 10**9  # longer than any answer takes


@dataclass(frozen=True, slots=True)
class Level:
    """A limit with a name. `by` says whose key it uses (default: its name), so that two levels can share a key.

    `counts` requests: an ask is 1 to it, whatever its amount, and stays 1 when it is committed.
    """

    name: str
    meter: Meter
    by: str = ""
    counts: Literal["amount", "requests"] = "amount"
    key_name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key_name", self.by or self.name)  # once, not at every ask

    def share(self, amount: int) -> int:
        return amount if self.counts == "amount" else 1


_Charges = list[tuple[Level, str, int]]  # each level with its key and what it counts
_Held = tuple[Reservation, _Charges]


class Limits:
    """Asks every level, outermost first, and charges all or none. The clock never goes backwards: ValueError.

    What is reserved is charged at once, so no number of requests in flight together exceeds a limit as long as
    none uses more than it reserved. A reservation that nobody settles within `expire_ns` counts as used: its
    amount ages like any other.
    """

    def __init__(self, levels: Sequence[Level], expire_ns: int = EXPIRE_NS) -> None:
        names = [level.name for level in levels]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"levels {names}: at least one, each with its own name")
        self.levels, self.expire_ns = tuple(levels), whole("expire_ns", expire_ns)
        self._key_names = {level.key_name for level in levels}
        self._open: dict[str, _Held] = {}  # in order of expiry: the time allowed is the same for all
        self._now_ns = self._sequence = 0

    def ask(self, now_ns: int, keys: Keys, amount: int = 1) -> Answer:
        charges, answers = self._looked(now_ns, keys, amount)
        answer = worst([(level, n, one) for (level, _, n), one in zip(charges, answers, strict=True)])
        if answer.admitted:
            for level, key, n in charges:
                level.meter.take(now_ns, key, n)
        return answer

    def reserve(self, now_ns: int, keys: Keys, amount: int) -> Reservation | Answer:
        charges, answers = self._looked(now_ns, keys, amount)
        for answer in answers:
            if not answer.admitted:
                return worst([(level, n, one) for (level, _, n), one in zip(charges, answers, strict=True)])
        for level, key, n in charges:
            level.meter.take(now_ns, key, n)
        self._sequence += 1
        held = Reservation(str(self._sequence), keys, amount, now_ns, now_ns + self.expire_ns)
        self._open[held.id] = held, charges
        return held

    def commit(self, now_ns: int, reservation: Reservation, used: int) -> None:
        whole("used", used, 0)
        amount = reservation.amount
        for level, key, _ in self._close(now_ns, reservation):
            if level.counts == "requests":
                continue
            if used < amount:
                level.meter.give(now_ns, key, reservation.at_ns, amount - used)
            elif used > amount:
                level.meter.take(now_ns, key, used - amount)

    def refund(self, now_ns: int, reservation: Reservation) -> None:
        for level, key, n in self._close(now_ns, reservation):
            level.meter.give(now_ns, key, reservation.at_ns, n)

    @property
    def open(self) -> int:
        """Reservations not yet settled; expired ones may still be among them."""
        return len(self._open)

    def purge(self, now_ns: int) -> None:
        """Forget idle keys and expired reservations; happens by itself as keys come and go."""
        self._tick(now_ns)
        self._expire(now_ns)
        for level in self.levels:
            level.meter.purge(now_ns)

    def _looked(self, now_ns: int, keys: Keys, amount: int) -> tuple[_Charges, list[Answer]]:
        """What each level would be charged, and what it says to that."""
        self._tick(now_ns)
        whole("amount", amount)
        by_name = keys_by_name(keys, self._key_names)
        charges = [(level, by_name[level.key_name], level.share(amount)) for level in self.levels]
        return charges, [level.meter.look(now_ns, key, n) for level, key, n in charges]

    def _tick(self, now_ns: int) -> None:
        if now_ns < self._now_ns:
            raise ValueError(f"the clock went back from {self._now_ns} to {now_ns} ns")
        self._now_ns = now_ns

    def _close(self, now_ns: int, reservation: Reservation) -> _Charges:
        """What it was charged: settled from now on."""
        self._tick(now_ns)
        self._expire(now_ns)
        found = self._open.get(reservation.id)
        if found is None or found[0] != reservation:
            raise unknown(reservation)
        del self._open[reservation.id]
        return found[1]

    def _expire(self, now_ns: int) -> None:
        while self._open:
            first, _ = next(iter(self._open.values()))
            if first.expires_ns > now_ns:
                break
            del self._open[first.id]


def worst(answers: Sequence[tuple[Level, int, Answer]]) -> Answer:
    """Of all levels, each with what it was asked: admitted if all admit; otherwise whose refusal lasts longest, ties
    to the outermost.

    The longest wait is exact: no meter refuses again later what it would admit earlier, if nobody comes.
    """
    if len(answers) == 1:
        level, _, answer = answers[0]
        return answer if answer.admitted else answer._replace(level=level.name)
    refused = [(level, answer) for level, _, answer in answers if not answer.admitted]
    if not refused:
        return Answer(True, 0, _remaining(answers, admitted=True))
    never = [(level, answer) for level, answer in refused if answer.retry_after_ns is None]
    level, answer = never[0] if never else max(refused, key=lambda one: one[1].retry_after_ns or 0)
    return Answer(False, answer.retry_after_ns, _remaining(answers, admitted=False), level.name)


def _remaining(answers: Sequence[tuple[Level, int, Answer]], admitted: bool) -> int:
    """What all levels together would admit now: in requests if they count nothing else. A meter that admitted in
    vain (another refused) has answered as if it had been charged."""
    amounts, requests = list[int](), list[int]()
    for level, n, answer in answers:
        left = answer.remaining if admitted or not answer.admitted else answer.remaining + n
        (amounts if level.counts == "amount" else requests).append(left)
    return 0 if 0 in requests else min(amounts or requests)


def keys_by_name(keys: Keys, names: set[str]) -> Mapping[str, str]:
    """One key for each name; raises UnknownLevel, with a suggestion."""
    if isinstance(keys, str):
        if len(names) > 1:
            raise UnknownLevel(f"key {keys!r}: say for which level; known: {', '.join(sorted(names))}")
        return dict.fromkeys(names, keys)
    if keys.keys() == names:
        return keys
    for name in keys:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(names))}"
            raise UnknownLevel(f"level {name!r} is unknown; {remedy}")
    raise UnknownLevel(f"level {min(names - keys.keys())!r}: its key is missing")


def unknown(reservation: Reservation) -> UnknownReservation:
    return UnknownReservation(
        f"reservation {reservation.id!r} is unknown: it was settled before, or it expired and its "
        f"{reservation.amount} count as used; settle each once, before its expires_ns {reservation.expires_ns}"
    )
