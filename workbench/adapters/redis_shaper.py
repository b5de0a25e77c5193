"""The leaky bucket as a queue, shared by many gateways: `Shaper` with its state in Redis, one EVALSHA for each ask."""

from math import gcd
from pathlib import Path

from workbench.adapters.redis_limits import GRACE_MS, Client
from workbench.adapters.redis_meters import microseconds, small
from workbench.control.limits.answer import whole
from workbench.control.limits.shaper import Shaper, Slot

SCRIPT = (Path(__file__).parent / "shaper.lua").read_text(encoding="utf-8")


class RedisShaper:
    """Twin of a `Shaper`: everybody leaves at a whole microsecond, never earlier than the rule allows.

    Equal to it where times and the time of a token are whole microseconds. The shaper says the rule only; its own
    state is not used.
    """

    def __init__(self, client: Client, rule: Shaper, *, prefix: str = "shaper", grace_ms: int = GRACE_MS) -> None:
        meter = rule.meter
        per_us = microseconds(meter.per_ns)
        common = gcd(meter.amount, per_us)
        self._rate, self._cost = small("amount", meter.amount // common), per_us // common
        self._burst, self._max_wait_ns = meter.burst, rule.max_wait_ns
        self._depth = divmod(meter.burst * self._cost, self._rate)
        small("burst", self._depth[0])
        self._prefix, self._grace_ms = prefix, whole("grace_ms", grace_ms)
        self._script = client.register_script(SCRIPT)

    def ask(self, now_ns: int, key: str, amount: int = 1) -> Slot:
        if whole("amount", amount) > self._burst:
            return Slot(False, None)
        latest_us = (now_ns + self._max_wait_ns) // 1000
        cost = divmod(amount * self._cost, self._rate)
        arguments = [-(-now_ns // 1000), latest_us, self._grace_ms, self._rate, *cost, *self._depth]
        admitted, at_us = self._script(keys=[f"{self._prefix}:{key}"], args=arguments)
        return Slot(bool(admitted), at_us * 1000 - now_ns)
