"""Who holds how much, in all, by tenant and over time: changed only by whole holdings, so nothing is lost."""

from workbench.control.resources.holding import Account, Holding


class Books:
    """Totals and one account for each tenant that ever held something."""

    def __init__(self) -> None:
        self.reserved = 0
        self.used = 0
        self.opened = 0  # holdings
        self.closed: dict[str, int] = {}  # holdings by how they ended
        self._accounts: dict[str, Account] = {}

    def reserved_by(self, tenant: str) -> int:
        account = self._accounts.get(tenant)
        return account.reserved if account else 0

    def used_by(self, tenant: str) -> int:
        account = self._accounts.get(tenant)
        return account.used if account else 0

    def account(self, now_ns: int, tenant: str) -> Account:
        """Counted up to now."""
        return self._accounts.get(tenant, Account(until_ns=now_ns)).at(now_ns)

    @property
    def tenants(self) -> tuple[str, ...]:
        return tuple(self._accounts)

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
        held, uses, reserved_ns, used_ns, _, holdings = self.account(now_ns, tenant)
        self._accounts[tenant] = Account(
            held + reserved, uses + used, reserved_ns, used_ns, now_ns, holdings + count
        )
