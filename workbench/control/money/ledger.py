"""Double entry: every posting moves money between accounts, nothing comes from nowhere.

Debit is positive, credit negative. Assets and expenses grow by debits, revenue and liabilities by credits.
"""

from collections.abc import Iterator
from typing import NamedTuple

from workbench.control.money.errors import ClockWentBack, Conflict

Entries = tuple[tuple[str, int], ...]


class Posting(NamedTuple):
    """One fact, under the key that makes it count once. Entries: (account, pico-USD)."""

    now_ns: int
    key: str
    entries: Entries


class Ledger:
    """Append-only. A key posted again with equal entries is ignored, with others it is a Conflict."""

    def __init__(self) -> None:
        self._postings: dict[str, Posting] = {}
        self._balances: dict[str, int] = {}
        self._now_ns = -(1 << 126)

    def post(self, now_ns: int, key: str, entries: Entries) -> bool:
        """Whether it was new. Nothing is posted if it is refused: ValueError, Conflict, ClockWentBack."""
        before = self._postings.get(key)
        if before is not None:
            if before.entries == entries:
                return False
            raise Conflict(f"posting {key!r}: posted at {before.now_ns} ns with other entries; a new fact needs a "
                           "new key")
        self.tick(now_ns)
        total = 0
        for account, pusd in entries:
            if type(pusd) is not int:
                raise ValueError(f"posting {key!r}: {account} gets {pusd!r}, not an integer")
            total += pusd
        if total:
            raise ValueError(f"posting {key!r}: entries sum to {total} pico-USD, not zero: {entries}")
        self._postings[key] = Posting(now_ns, key, entries)
        balances = self._balances
        for account, pusd in entries:
            if account in balances:
                balances[account] += pusd
            else:
                balances[account] = pusd
        return True

    def tick(self, now_ns: int) -> None:
        """The clock of all who post here: ClockWentBack before anything is changed."""
        if now_ns < self._now_ns:
            raise ClockWentBack(self._now_ns, now_ns)
        self._now_ns = now_ns

    def balance(self, account: str) -> int:
        return self._balances.get(account, 0)

    def balances(self) -> dict[str, int]:
        """Of all accounts that are not empty, by name."""
        return {account: pusd for account, pusd in sorted(self._balances.items()) if pusd}

    def group(self, prefix: str) -> int:
        """Sum of the accounts `prefix` and `prefix:...`."""
        return sum(pusd for account, pusd in self._balances.items()
                   if account == prefix or account.startswith(prefix + ":"))

    def __iter__(self) -> Iterator[Posting]:
        return iter(self._postings.values())

    def __len__(self) -> int:
        return len(self._postings)
