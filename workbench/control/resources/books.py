"""Who holds how much, in all, by tenant and over time: changed only by whole holdings, so nothing is lost."""

from workbench.control.resources.holding import Account, Holding


class _Open:
    """An account that is still written to: see `Account`."""

    __slots__ = ("holdings", "reserved", "reserved_ns", "until_ns", "used", "used_ns")

    def __init__(self, now_ns: int) -> None:
        self.reserved = self.used = self.reserved_ns = self.used_ns = self.holdings = 0
        self.until_ns = now_ns


class Books:
    """Totals and one account for each tenant that ever held something."""

    def __init__(self) -> None:
        self.reserved = 0
        self.used = 0
        self.opened = 0  # holdings
        self.closed: dict[str, int] = {}  # holdings by how they ended
        self._open: dict[str, _Open] = {}

    def reserved_by(self, tenant: str) -> int:
        account = self._open.get(tenant)
        return account.reserved if account else 0

    def used_by(self, tenant: str) -> int:
        account = self._open.get(tenant)
        return account.used if account else 0

    def account(self, now_ns: int, tenant: str) -> Account:
        """Counted up to now."""
        one = self._open.get(tenant)
        if one is None:
            return Account(until_ns=now_ns)
        return Account(one.reserved, one.used, one.reserved_ns, one.used_ns, one.until_ns, one.holdings).at(now_ns)

    @property
    def tenants(self) -> tuple[str, ...]:
        return tuple(self._open)

    def open(self, now_ns: int, holding: Holding) -> None:
        self.opened += 1
        self._move(now_ns, holding.tenant, holding.reserved, holding.used, 1)

    def change(self, now_ns: int, old: Holding, new: Holding) -> None:
        self._move(now_ns, old.tenant, new.reserved - old.reserved, new.used - old.used, 0)

    def close(self, now_ns: int, holding: Holding, why: str) -> None:
        self.closed[why] = self.closed.get(why, 0) + 1
        self._move(now_ns, holding.tenant, -holding.reserved, -holding.used, -1)

    def _move(self, now_ns: int, tenant: str, reserved: int, used: int, count: int) -> None:
        self.reserved += reserved
        self.used += used
        one = self._open.get(tenant)
        if one is None:
            one = self._open[tenant] = _Open(now_ns)
        span_ns = now_ns - one.until_ns
        if span_ns:
            one.reserved_ns += one.reserved * span_ns
            one.used_ns += one.used * span_ns
            one.until_ns = now_ns
        one.reserved += reserved
        one.used += used
        one.holdings += count
