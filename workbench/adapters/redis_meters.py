"""What limits.lua is told of each kind of limit, and what its reply means; in whole microseconds.

The policies count in ticks of any length: the same classes, made with microseconds, compute the answer from the
state that Redis returns. Whether it admits is Redis's own decision.
"""

from math import gcd
from typing import Protocol

from workbench.control.limits.answer import Answer, Meter
from workbench.control.limits.gcra import Gcra
from workbench.control.limits.sliding_log import SlidingLog
from workbench.control.limits.windows import FixedWindow, SlidingCounter

LARGEST = 2**50  # sums of two stay below 2^53, where doubles are exact


class TickMeter(Protocol):
    def arguments(self, op: str, now_us: int, taken_us: int, amount: int) -> list[str | int]:
        """The level's eight arguments of limits.lua."""
        ...

    def answer(self, now_ns: int, amount: int, admits: bool, first: int, second: int) -> Answer:
        """From the state before the ask; the two numbers are the script's `state` of that kind."""
        ...


def tick_meter(meter: Meter) -> TickMeter:
    """The Redis side of a meter; ValueError for what Redis cannot hold exactly."""
    match meter:
        case Gcra():
            return _Gcra(meter.amount, microseconds(meter.per_ns), meter.burst)
        case FixedWindow():
            return _Fixed(small("amount", meter.amount), microseconds(meter.per_ns))
        case SlidingCounter():
            return _Counter(small("amount", meter.amount), microseconds(meter.per_ns))
        case SlidingLog():
            return _Log(small("amount", meter.amount), microseconds(meter.per_ns))
    raise ValueError(f"{type(meter).__name__} has no twin in Redis; has: Gcra, FixedWindow, SlidingCounter, SlidingLog")


def microseconds(per_ns: int) -> int:
    if per_ns % 1000:
        raise ValueError(f"per_ns {per_ns}: Redis counts whole microseconds; give a multiple of 1000")
    return small("per_ns", per_ns // 1000)


def small(name: str, value: int) -> int:
    if value > LARGEST:
        raise ValueError(f"{name} {value}: more than Redis counts exactly (2^50)")
    return value


def _at_ns(answer: Answer, now_ns: int, admits: bool) -> Answer:
    """The answer of a microsecond meter, its wait counted from the nanosecond."""
    retry = answer.retry_after_ns
    wait_ns = None if retry is None else (now_ns // 1000 + retry) * 1000 - now_ns
    return answer._replace(admitted=admits, retry_after_ns=0 if admits else wait_ns)


class _Gcra:
    def __init__(self, amount: int, per_us: int, burst: int) -> None:
        self._rule = Gcra(amount, per_us, burst)
        common = gcd(amount, per_us)
        self._rate, self._cost = small("amount", amount // common), per_us // common
        small("burst", burst * self._cost // self._rate)

    def arguments(self, op: str, now_us: int, taken_us: int, amount: int) -> list[str | int]:  # noqa: ARG002
        charged = min(amount, self._rule.burst + 1) if op == "ask" else amount  # no larger number than it needs
        cost_us, cost_frac = divmod(charged * self._cost, self._rate)
        depth_us, depth_frac = divmod(self._rule.burst * self._cost, self._rate)
        return ["gcra", min(amount, LARGEST), self._rate, small("amount", cost_us), cost_frac, depth_us, depth_frac,
                taken_us]

    def answer(self, now_ns: int, amount: int, admits: bool, first: int, second: int) -> Answer:
        return _at_ns(self._rule.judge(now_ns // 1000, first * self._rate + second, amount), now_ns, admits)


class _Fixed:
    def __init__(self, amount: int, per_us: int) -> None:
        self._rule = FixedWindow(amount, per_us)

    def arguments(self, op: str, now_us: int, taken_us: int, amount: int) -> list[str | int]:  # noqa: ARG002
        per_us = self._rule.per_ns
        return ["fixed", min(amount, LARGEST), per_us, self._rule.amount, now_us // per_us, 0, 0, taken_us // per_us]

    def answer(self, now_ns: int, amount: int, admits: bool, first: int, second: int) -> Answer:  # noqa: ARG002
        return _at_ns(self._rule.judge(now_ns // 1000, first, amount), now_ns, admits)


class _Counter:
    def __init__(self, amount: int, per_us: int) -> None:
        self._rule = SlidingCounter(amount, per_us)

    def arguments(self, op: str, now_us: int, taken_us: int, amount: int) -> list[str | int]:  # noqa: ARG002
        per_us = self._rule.per_ns
        index, elapsed_us = divmod(now_us, per_us)
        return ["counter", min(amount, LARGEST), per_us, self._rule.amount, index, elapsed_us, 0, taken_us // per_us]

    def answer(self, now_ns: int, amount: int, admits: bool, first: int, second: int) -> Answer:
        return _at_ns(self._rule.judge(now_ns // 1000, first, second, amount), now_ns, admits)


class _Log:
    def __init__(self, amount: int, per_us: int) -> None:
        self._amount, self._per_us = amount, per_us

    def arguments(self, op: str, now_us: int, taken_us: int, amount: int) -> list[str | int]:  # noqa: ARG002
        return ["log", min(amount, LARGEST), self._per_us, self._amount, 0, 0, 0, 0]

    def answer(self, now_ns: int, amount: int, admits: bool, first: int, second: int) -> Answer:
        room = self._amount - first
        if admits:
            return Answer(True, 0, room - amount)
        wait_ns = None if amount > self._amount else (second + self._per_us) * 1000 - now_ns
        return Answer(False, wait_ns, max(0, room))
