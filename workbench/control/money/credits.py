"""Credits: money a tenant may spend, granted once, some of it until a time."""

from dataclasses import dataclass

from workbench.control.money.amounts import integer
from workbench.control.money.errors import Conflict
from workbench.control.money.periods import Period
from workbench.control.money.price_book import FOREVER_NS


@dataclass(frozen=True, slots=True)
class Grant:
    """Pays for billing periods that share an instant with [from_ns, until_ns)."""

    key: str
    tenant: str
    pusd: int
    from_ns: int = 0
    until_ns: int = FOREVER_NS

    def __post_init__(self) -> None:
        integer(f"credit {self.key!r}: pusd", self.pusd, 1)
        integer(f"credit {self.key!r}: until_ns", self.until_ns, integer("from_ns", self.from_ns) + 1)


class Credits:
    """Used earliest expiry first, ties in the order of granting."""

    def __init__(self) -> None:
        self._grants: dict[str, Grant] = {}
        self._left: dict[str, dict[str, int]] = {}

    def known(self, grant: Grant) -> bool:
        """Whether it was granted before; Conflict if with another content."""
        before = self._grants.get(grant.key)
        if before is not None and before != grant:
            raise Conflict(f"credit {grant.key!r}: granted before as {before}; a new grant needs a new key")
        return before is not None

    def grant(self, grant: Grant) -> None:
        if not self.known(grant):
            self._grants[grant.key] = grant
            self._left.setdefault(grant.tenant, {})[grant.key] = grant.pusd

    def use(self, tenant: str, period: Period, pusd: int) -> int:
        """Takes at most that much; what was taken."""
        left, need = self._left.get(tenant, {}), pusd
        for key in sorted(left, key=lambda key: self._grants[key].until_ns):
            grant = self._grants[key]
            if grant.from_ns < period.end_ns and period.start_ns < grant.until_ns:
                part = min(left[key], need)
                left[key] -= part
                need -= part
        return pusd - need

    def expire(self, tenant: str, before_ns: int) -> int:
        """Forgets what can pay for no period from `before_ns` on; how much that was."""
        left = self._left.get(tenant, {})
        over = [key for key in left if self._grants[key].until_ns <= before_ns]
        return sum(left.pop(key) for key in over)

    def left(self, tenant: str) -> int:
        return sum(self._left.get(tenant, {}).values())
