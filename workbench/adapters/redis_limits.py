"""Rate limits shared by many gateways: `Limits` with its state in Redis, one EVALSHA for each ask.

Needs a client of the `redis` package (pip install redis), a single server or primary (no cluster: an ask of several
levels touches keys of several slots). Times come from the caller, in whole microseconds inside Redis; keys vanish by
TTL. An ask whose reply is lost may have been charged: it is never charged too little.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from workbench.adapters.redis_meters import TickMeter, tick_meter
from workbench.control.limits.answer import Answer, Keys, Reservation, whole
from workbench.control.limits.levels import EXPIRE_NS, Level, keys_by_name, unknown, worst

SCRIPT = (Path(__file__).parent / "limits.lua").read_text(encoding="utf-8")
GRACE_MS = 60_000  # keys live so much longer than they matter: clients' clocks differ


class Client(Protocol):
    """What is used of `redis.Redis`."""

    def register_script(self, script: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Bound:
    """A level, its arithmetic in microseconds, and the key that this ask has there."""

    level: Level
    meter: TickMeter
    key: str
    amount: int


class RedisLimits:
    """Twin of `Limits(levels)`: equal on whole microseconds; between them never admits what that would refuse.

    The meters of the levels say the rule only; their own state is not used. Clocks of several gateways may differ:
    a late one is treated as the latest seen for that key, as far as that makes a difference.
    """

    def __init__(
        self, client: Client, levels: Sequence[Level], *, prefix: str = "limits", expire_ns: int = EXPIRE_NS,
        grace_ms: int = GRACE_MS, new_id: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        names = [level.name for level in levels]
        if not names or len(set(names)) < len(names) or any(":" in name for name in names):
            raise ValueError(f"levels {names}: at least one, each with its own name without a colon")
        self.levels, self.prefix, self.expire_ns = tuple(levels), prefix, whole("expire_ns", expire_ns)
        self._meters = [tick_meter(level.meter) for level in levels]
        self._key_names = {level.key_name for level in levels}
        self._grace_ms, self._new_id = whole("grace_ms", grace_ms), new_id
        self._script = client.register_script(SCRIPT)

    def ask(self, now_ns: int, keys: Keys, amount: int = 1) -> Answer:
        return self._ask(now_ns, keys, amount, "", 0)

    def reserve(self, now_ns: int, keys: Keys, amount: int) -> Reservation | Answer:
        held = Reservation(self._new_id(), keys, amount, now_ns, now_ns + self.expire_ns)
        answer = self._ask(now_ns, keys, amount, held.id, -(-self.expire_ns // 1000))
        return held if answer.admitted else answer

    def commit(self, now_ns: int, reservation: Reservation, used: int) -> None:
        difference = reservation.amount - whole("used", used, 0)
        self._settle(now_ns, reservation, "give" if difference >= 0 else "take", [
            abs(difference) if level.counts == "amount" else 0 for level in self.levels
        ])

    def refund(self, now_ns: int, reservation: Reservation) -> None:
        self._settle(now_ns, reservation, "give", [level.share(reservation.amount) for level in self.levels])

    def _ask(self, now_ns: int, keys: Keys, amount: int, held: str, reserve_us: int) -> Answer:
        whole("amount", amount)
        bound = self._bound(keys, [level.share(amount) for level in self.levels])
        reply = self._call("ask", now_ns, now_ns, bound, held, reserve_us)
        return worst([
            (one.level, one.amount, one.meter.answer(now_ns, one.amount, bool(admits), first, second))
            for one, admits, first, second in zip(bound, reply[1::3], reply[2::3], reply[3::3], strict=True)
        ])

    def _settle(self, now_ns: int, reservation: Reservation, op: str, amounts: list[int]) -> None:
        bound = self._bound(reservation.keys, amounts)
        if not self._call(op, now_ns, reservation.at_ns, bound, reservation.id, 0):
            raise unknown(reservation)

    def _bound(self, keys: Keys, amounts: list[int]) -> list[_Bound]:
        by_name = keys_by_name(keys, self._key_names)
        return [
            _Bound(level, meter, by_name[level.key_name], amount)
            for level, meter, amount in zip(self.levels, self._meters, amounts, strict=True)
        ]

    def _call(self, op: str, now_ns: int, taken_ns: int, bound: list[_Bound], held: str, reserve_us: int) -> Any:
        keys = [f"{self.prefix}:held:{held}"]
        arguments: list[str | int] = [op, now_ns // 1000, -(-now_ns // 1000), self._grace_ms, reserve_us]
        for one in bound:
            keys += [f"{self.prefix}:{one.level.name}:{part}:{one.key}" for part in ("state", "entries")]
            arguments += one.meter.arguments(op, now_ns // 1000, taken_ns // 1000, one.amount)
        return self._script(keys=keys, args=arguments)
