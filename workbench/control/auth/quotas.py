"""How much each user may take in a period: reserved before, settled after, nothing forgotten in between."""

from collections.abc import Mapping

from workbench.control.clock import Clock
from workbench.control.limits.answer import whole


class Quotas(Clock):
    """`amounts` for each user, `default` for all others (None: no quota), per period of `per_ns` counted from t=0.

    Used and reserved together never exceed the amount. Worst case: twice the amount within two nanoseconds across the
    edge of a period: a quota is for budgets; for bursts use a rate limit (docs/limits.md).
    """

    def __init__(self, per_ns: int, default: int | None = None, amounts: Mapping[str, int] | None = None) -> None:
        self.per_ns = whole("per_ns", per_ns)
        self.default = None if default is None else whole("default", default, least=0)
        self.amounts = {user: whole(f"amounts.{user}", n, least=0) for user, n in (amounts or {}).items()}
        self._period = 0
        self._used: dict[str, int] = {}

    def left(self, now_ns: int, user: str) -> int | None:
        """What could still be reserved; None: no quota."""
        self._tick(now_ns)
        if now_ns // self.per_ns > self._period:
            self._period, self._used = now_ns // self.per_ns, {}
        amount = self.amounts.get(user, self.default)
        return None if amount is None else amount - self._used.get(user, 0)

    def reserve(self, now_ns: int, user: str, amount: int) -> int | None:
        """The period it was taken from (a handle to settle with), or None: it is more than is left."""
        left = self.left(now_ns, user)
        if left is not None and amount > left:
            return None
        self._used[user] = self._used.get(user, 0) + whole("amount", amount, least=0)
        return self._period

    def settle(self, now_ns: int, user: str, period: int, reserved: int, used: int) -> None:
        """So much it was, of what was reserved. A period that is over has nothing to return."""
        if whole("used", used, least=0) > reserved:
            raise ValueError(f"user {user}: used {used} is more than the {reserved} reserved; reserve the most")
        self.left(now_ns, user)
        if period == self._period:
            self._used[user] -= reserved - used
