"""Fixed windows and the sliding counter made of two of them. Windows begin at multiples of `per_ns`."""

from workbench.control.limits.answer import Answer, whole
from workbench.control.limits.per_key import PerKey


class FixedWindow(PerKey[tuple[int, int]]):
    """`amount` in each window. The worst case is 2 x amount in two nanoseconds, across a window's edge.

    Right for quotas (a day's tokens), wrong for protecting an engine. State of a key: window, used.
    """

    def __init__(self, amount: int, per_ns: int) -> None:
        super().__init__()
        self.amount, self.per_ns = whole("amount", amount), whole("per_ns", per_ns)

    def look(self, now_ns: int, key: str, amount: int) -> Answer:
        return self.judge(now_ns, self._used(key, now_ns // self.per_ns), amount)

    def judge(self, now_ns: int, used: int, amount: int) -> Answer:
        """The answer for a key that used so much of this window."""
        room = self.amount - used
        if amount <= room:
            return Answer(True, 0, room - amount)
        return Answer(False, None if amount > self.amount else self.per_ns - now_ns % self.per_ns, max(0, room))

    def take(self, now_ns: int, key: str, amount: int) -> None:
        index = now_ns // self.per_ns
        self._put(now_ns, key, (index, self._used(key, index) + amount))

    def give(self, now_ns: int, key: str, taken_ns: int, amount: int) -> None:  # noqa: ARG002 - part of the protocol
        """Into the window it was taken from; when that is over there is nothing to give back."""
        state = self._states.get(key)
        if state is not None and state[0] == taken_ns // self.per_ns:
            self._states[key] = (state[0], state[1] - amount)

    def _used(self, key: str, index: int) -> int:
        state = self._states.get(key)
        return state[1] if state is not None and state[0] == index else 0

    def _idle(self, now_ns: int, state: tuple[int, int]) -> bool:
        return state[0] < now_ns // self.per_ns


class SlidingCounter(PerKey[tuple[int, int, int]]):
    """The previous window counts by the part of it that a window ending now still covers.

    Admitted while `previous x (1 - elapsed/per) + current <= amount`, in integers. Worst case: any interval of x ns
    admits at most `amount + amount x / per_ns`, as a token bucket with burst = amount; almost 2 x amount in one
    window's length, but never at once. Source: Cloudflare, "How we built rate limiting capable of scaling to
    millions of domains" (2017). State of a key: window, used in the previous, used in this one.
    """

    def __init__(self, amount: int, per_ns: int) -> None:
        super().__init__()
        self.amount, self.per_ns = whole("amount", amount), whole("per_ns", per_ns)

    def look(self, now_ns: int, key: str, amount: int) -> Answer:
        return self.judge(now_ns, *self._used(key, now_ns // self.per_ns), amount)

    def judge(self, now_ns: int, previous: int, current: int, amount: int) -> Answer:
        """The answer for a key that used so much of the previous window and of this one."""
        left_ns = self.per_ns - now_ns % self.per_ns
        room = self.amount - current + -previous * left_ns // self.per_ns  # the previous part rounded up
        if amount <= room:
            return Answer(True, 0, room - amount)
        return Answer(False, self._retry_ns(previous, current, left_ns, amount), max(0, room))

    def _retry_ns(self, previous: int, current: int, left_ns: int, amount: int) -> int | None:
        """Both estimates only fall while nobody comes, so the first time at which it fits is the answer."""
        if amount > self.amount:
            return None
        free = self.amount - current - amount
        if free >= 0:  # in this window, once the previous one has faded enough
            return left_ns - free * self.per_ns // previous
        # in the next window, once this one has faded enough
        return left_ns + self.per_ns - (self.amount - amount) * self.per_ns // current

    def take(self, now_ns: int, key: str, amount: int) -> None:
        index = now_ns // self.per_ns
        previous, current = self._used(key, index)
        self._put(now_ns, key, (index, previous, current + amount))

    def give(self, now_ns: int, key: str, taken_ns: int, amount: int) -> None:  # noqa: ARG002 - part of the protocol
        state = self._states.get(key)
        if state is None:
            return
        index, previous, current = state
        taken = taken_ns // self.per_ns
        if taken == index:
            self._states[key] = (index, previous, current - amount)
        elif taken == index - 1:
            self._states[key] = (index, previous - amount, current)

    def _used(self, key: str, index: int) -> tuple[int, int]:
        state = self._states.get(key)
        if state is None or state[0] < index - 1:
            return 0, 0
        return state[1:] if state[0] == index else (state[2], 0)

    def _idle(self, now_ns: int, state: tuple[int, int, int]) -> bool:
        return state[0] < now_ns // self.per_ns - 1
