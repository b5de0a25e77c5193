"""Generic cell rate algorithm: a token bucket that stores one time instead of a level.

Source: ITU-T I.371 (virtual scheduling). Theoretical arrival time TAT = when the bucket would be full again. The
token bucket is `burst - (TAT - now) * rate` tokens, the leaky bucket's fill is `(TAT - now) * rate`: one equation.
"""

from math import gcd

from workbench.control.limits.answer import Answer, whole
from workbench.control.limits.per_key import PerKey


class Gcra(PerKey[tuple[int, int]]):
    """`amount` per `per_ns`, at most `burst` (default `amount`) at once. Any interval admits <= burst + rate x time.

    Exact for every rate: time is counted in 1/rate ns, so that a token costs a whole number of units.
    State of a key: TAT in those units, and when it was last charged.
    """

    def __init__(self, amount: int, per_ns: int, burst: int | None = None) -> None:
        super().__init__()
        self.amount, self.per_ns = whole("amount", amount), whole("per_ns", per_ns)
        self.burst = amount if burst is None else whole("burst", burst)
        common = gcd(amount, per_ns)
        self._rate, self._cost = amount // common, per_ns // common
        self._depth = self.burst * self._cost

    def look(self, now_ns: int, key: str, amount: int) -> Answer:
        state = self._states.get(key)
        return self.judge(now_ns, state[0] if state else 0, amount)

    def judge(self, now_ns: int, tat: int, amount: int) -> Answer:
        """The answer for a key with this TAT (in 1/rate ns; 0 for one never seen)."""
        cost = self._cost
        fill = max(0, tat - now_ns * self._rate)
        room = self._depth - fill - amount * cost
        if room >= 0:
            return Answer(True, 0, room // cost)
        remaining = max(0, (self._depth - fill) // self._cost)
        return Answer(False, None if amount > self.burst else -(room // self._rate), remaining)

    def take(self, now_ns: int, key: str, amount: int, wait_ns: int = 0) -> None:
        """Charge it as of `wait_ns` from now."""
        at_ns = now_ns + wait_ns
        clock, cost = at_ns * self._rate, amount * self._cost
        state = self._states.get(key)
        self._put(now_ns, key, ((max(state[0], clock) if state else clock) + cost, at_ns))

    def give(self, now_ns: int, key: str, taken_ns: int, amount: int) -> None:  # noqa: ARG002 - part of the protocol
        """Less what the bucket refilled between then and the last charge: who charged last may have spent that.

        Without this deduction parked reservations, given back one by one, are a burst each. Why it is enough:
        docs/limits.md.
        """
        state = self._states.get(key)
        if state is None:
            return  # full again: nothing is missing
        tat, last_ns = state
        back = amount * self._cost - (last_ns - taken_ns) * self._rate
        if back > 0:
            self._states[key] = (tat - back, last_ns)

    def _idle(self, now_ns: int, state: tuple[int, int]) -> bool:
        return state[0] <= now_ns * self._rate
