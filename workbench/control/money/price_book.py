"""Which rate is in force, for whom, for what, when."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from workbench.control.money.amounts import integer
from workbench.control.money.errors import Overlap
from workbench.control.money.rates import Rate, check, rate_from

KINDS = ("input", "cached", "output")
ANY = "*"  # every model without a price of its own
FOREVER_NS = 1 << 126  # later than any clock


class Version(NamedTuple):
    """In force from `from_ns` on, until before `until_ns`; `plan` "" is for all who have no price of their own."""

    model: str
    kind: str
    rate: Rate
    from_ns: int = 0
    until_ns: int = FOREVER_NS
    plan: str = ""

    @property
    def name(self) -> str:
        until = "" if self.until_ns == FOREVER_NS else self.until_ns
        return f"{self.plan and self.plan + ' '}{self.model} {self.kind} [{self.from_ns}, {until})"


class PriceBook:
    """Versions of prices. Two of the same plan, model and kind never overlap, not even by a nanosecond.

    The nearest price holds: the plan's for the model, the plan's for any model, everybody's for the model,
    everybody's for any model. Cached input without a price of its own is charged as input, in the same tiers.
    """

    def __init__(self, versions: Iterable[Version] = ()) -> None:
        self._versions: dict[tuple[str, str, str], list[Version]] = {}
        self.revision = 0  # how many versions were added
        for one in versions:
            self.add(one)

    @classmethod
    def from_facts(cls, rows: Iterable[Mapping[str, Any]]) -> "PriceBook":
        """Rows as in TOML: model, kind, one of flat, graduated, volume, package, and optionally from_ns, until_ns,
        plan."""
        book = cls()
        for i, row in enumerate(rows):
            facts = dict(row)
            try:
                model, kind = facts.pop("model"), facts.pop("kind")
            except KeyError as error:
                raise ValueError(f"prices[{i}]: {error.args[0]} is missing") from None
            times = {key: facts.pop(key) for key in ("from_ns", "until_ns", "plan") if key in facts}
            book.add(Version(model, kind, rate_from(f"prices[{i}]", facts), **times))
        return book

    def add(self, version: Version) -> None:
        if version.kind not in KINDS:
            raise ValueError(f"price {version.name}: kind {version.kind!r} is not one of {', '.join(KINDS)}")
        if integer("from_ns", version.from_ns) >= integer("until_ns", version.until_ns):
            raise ValueError(f"price {version.name}: ends before it begins")
        check(f"price {version.name}", version.rate)
        versions = self._versions.setdefault((version.plan, version.model, version.kind), [])
        at = bisect_right(versions, version.from_ns, key=_begin)
        for other in versions[max(0, at - 1):at + 1]:
            if version.from_ns < other.until_ns and other.from_ns < version.until_ns:
                raise Overlap(f"price {version.name} overlaps {other.name}; end the older where the newer begins")
        versions.insert(at, version)
        self.revision += 1

    def find(self, plan: str, model: str, kind: str, at_ns: int) -> tuple[Version | None, int, int]:
        """The version if there is one, and from when until before when this answer stays the same."""
        from_ns, until_ns = -FOREVER_NS, FOREVER_NS
        for key in dict.fromkeys([(plan, model), (plan, ANY), ("", model), ("", ANY)]):
            versions = self._versions.get((*key, kind), [])
            at = bisect_right(versions, at_ns, key=_begin)
            if at < len(versions):
                until_ns = min(until_ns, versions[at].from_ns)
            if at:
                last = versions[at - 1]
                if at_ns < last.until_ns:
                    return last, max(from_ns, last.from_ns), min(until_ns, last.until_ns)
                from_ns = max(from_ns, last.until_ns)
        return None, from_ns, until_ns


def _begin(version: Version) -> int:
    return version.from_ns
