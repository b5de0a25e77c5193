"""The exact sliding window: every admission of the last window is remembered."""

from bisect import bisect_left

from workbench.control.limits.answer import Answer, whole
from workbench.control.limits.per_key import PerKey


class Log:
    """Amounts by time, oldest first; those before `head` are over."""

    __slots__ = ("amounts", "head", "times_ns", "used")

    def __init__(self) -> None:
        self.times_ns: list[int] = []
        self.amounts: list[int] = []
        self.head = self.used = 0

    def drop(self, until_ns: int) -> None:
        """Forget what was taken at `until_ns` or before."""
        while self.head < len(self.times_ns) and self.times_ns[self.head] <= until_ns:
            self.used -= self.amounts[self.head]
            self.head += 1
        if 2 * self.head > len(self.times_ns):  # half of it is over: amortised constant
            del self.times_ns[: self.head], self.amounts[: self.head]
            self.head = 0

    def add(self, at_ns: int, amount: int) -> None:
        self.used += amount
        if self.times_ns and self.times_ns[-1] == at_ns:
            self.amounts[-1] += amount
        else:
            self.times_ns.append(at_ns)
            self.amounts.append(amount)

    def cut(self, at_ns: int, amount: int) -> None:
        """Take an amount off the entry of that time, if it still counts."""
        i = bisect_left(self.times_ns, at_ns, self.head)
        if i < len(self.times_ns) and self.times_ns[i] == at_ns:
            self.amounts[i] -= amount
            self.used -= amount

    def until_free(self, amount: int) -> int:
        """The time of the entry with whose end that much is free."""
        i = self.head
        while (amount := amount - self.amounts[i]) > 0:
            i += 1
        return self.times_ns[i]


class SlidingLog(PerKey[Log]):
    """`amount` in any window of `per_ns`, wherever it begins: no worse worst case. [t, t + per_ns) holds t.

    It pays in memory: one entry a key for each nanosecond in which something was admitted.
    """

    def __init__(self, amount: int, per_ns: int) -> None:
        super().__init__()
        self.amount, self.per_ns = whole("amount", amount), whole("per_ns", per_ns)

    def look(self, now_ns: int, key: str, amount: int) -> Answer:
        log = self._states.get(key)
        if log is None:
            fits = amount <= self.amount
            return Answer(fits, 0 if fits else None, self.amount - amount if fits else self.amount)
        log.drop(now_ns - self.per_ns)
        room = self.amount - log.used
        if amount <= room:
            return Answer(True, 0, room - amount)
        if amount > self.amount:
            return Answer(False, None, max(0, room))
        return Answer(False, log.until_free(amount - room) + self.per_ns - now_ns, max(0, room))

    def take(self, now_ns: int, key: str, amount: int) -> None:
        log = self._states.get(key)
        if log is None:
            log = Log()
            log.add(now_ns, amount)
            self._put(now_ns, key, log)
        else:
            log.drop(now_ns - self.per_ns)
            log.add(now_ns, amount)

    def give(self, now_ns: int, key: str, taken_ns: int, amount: int) -> None:  # noqa: ARG002 - part of the protocol
        log = self._states.get(key)
        if log is not None:
            log.cut(taken_ns, amount)

    def _idle(self, now_ns: int, state: Log) -> bool:
        return not state.times_ns or state.times_ns[-1] <= now_ns - self.per_ns
