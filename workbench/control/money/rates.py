"""What a number of tokens costs the customer, by four kinds of price.

A rate gives the price of a *total*; a single request is charged what it adds to the total. So the bill is the same
however usage is split into requests: `total(a + b) == total(a) + (total(a + b) - total(a))`.
Prices: micro-USD per million tokens (0.60 USD per million = 600_000), times tokens = pico-USD.
Source of the kinds and of "up to" being inclusive: docs.stripe.com/products-prices/pricing-models.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from workbench.control.money.amounts import PUSD_PER_MICRO_USD, integer


class Rate(Protocol):
    """Monotone but for `Volume`, where more can cost less in total at the edge of a tier."""

    def total_pusd(self, tok: int) -> int: ...

    def words(self) -> str:
        """The unit price, for people."""
        ...


class Flat(NamedTuple):
    """Each token the same."""

    micro_usd_per_mtok: int

    def total_pusd(self, tok: int) -> int:
        return tok * self.micro_usd_per_mtok

    def words(self) -> str:
        return f"{_usd(self.micro_usd_per_mtok)} USD/Mtok"


class Tier(NamedTuple):
    """Up to and including that many tokens of the period; None: all the rest."""

    up_to_tok: int | None
    micro_usd_per_mtok: int


class Graduated(NamedTuple):
    """Each token at the price of the tier in which it falls."""

    tiers: tuple[Tier, ...]

    def total_pusd(self, tok: int) -> int:
        pusd = begin_tok = 0
        for up_to_tok, price in self.tiers:
            end_tok = tok if up_to_tok is None else min(tok, up_to_tok)
            pusd += (end_tok - begin_tok) * price
            if end_tok == tok:
                break
            begin_tok = end_tok
        return pusd

    def words(self) -> str:
        return _tier_words(self.tiers)


class Volume(NamedTuple):
    """All tokens at the price of the tier that the total reaches."""

    tiers: tuple[Tier, ...]

    def total_pusd(self, tok: int) -> int:
        return tok * next(price for up_to_tok, price in self.tiers if up_to_tok is None or tok <= up_to_tok)

    def words(self) -> str:
        return f"{_tier_words(self.tiers)}, by volume"


class Package(NamedTuple):
    """Sold in packages; one begun is paid whole."""

    size_tok: int
    micro_usd: int  # of a package

    def total_pusd(self, tok: int) -> int:
        return -(-tok // self.size_tok) * self.micro_usd * PUSD_PER_MICRO_USD

    def words(self) -> str:
        return f"{_usd(self.micro_usd)} USD per {self.size_tok:,} tok"


def _usd(micro_usd: int) -> str:
    """Exact, with two decimals or more."""
    whole, part = divmod(micro_usd, 10**6)
    return f"{whole}.{f'{part:06}'.rstrip('0'):0<2}"


def _tier_words(tiers: Sequence[Tier]) -> str:
    steps = [f"{_usd(price)}" + ("" if up_to_tok is None else f" to {up_to_tok:,} tok") for up_to_tok, price in tiers]
    return f"{', then '.join(steps)} USD/Mtok"


def rate_from(where: str, facts: Mapping[str, Any]) -> Rate:
    """`{flat = 600000}`, `{package = {size_tok = 1000000, micro_usd = 500000}}`, or `{graduated = [...]}` and
    `{volume = [...]}` with tiers `{up_to_tok = ..., micro_usd_per_mtok = ...}`, the last without `up_to_tok`."""
    if len(facts) != 1 or (kind := next(iter(facts))) not in ("flat", "graduated", "volume", "package"):
        raise ValueError(f"{where}: {sorted(facts)} is not one of flat, graduated, volume, package")
    value = facts[kind]
    if kind == "flat":
        return Flat(integer(f"{where}.flat", value, 0))
    if kind == "package":
        _only(f"{where}.package", value, "size_tok", "micro_usd")
        return Package(integer(f"{where}.package.size_tok", value["size_tok"], 1),
                       integer(f"{where}.package.micro_usd", value["micro_usd"], 0))
    tiers = _tiers(f"{where}.{kind}", value)
    return Graduated(tiers) if kind == "graduated" else Volume(tiers)


def check(where: str, rate: Rate) -> None:
    """ValueError for one made by hand of what is no price: a float, a negative one, tiers with a hole or no end."""
    match rate:
        case Flat(price):
            integer(f"{where}.flat", price, 0)
        case Package(size_tok, price):
            integer(f"{where}.size_tok", size_tok, 1)
            integer(f"{where}.micro_usd", price, 0)
        case Graduated(tiers) | Volume(tiers):
            _tiers(where, [one._asdict() if one.up_to_tok is not None else {"micro_usd_per_mtok": one[1]}
                           for one in tiers])


def _tiers(where: str, rows: Sequence[Mapping[str, Any]]) -> tuple[Tier, ...]:
    tiers, edge_tok = list[Tier](), 0
    for i, row in enumerate(rows):
        last = i == len(rows) - 1
        _only(f"{where}[{i}]", row, *([] if last else ["up_to_tok"]), "micro_usd_per_mtok")
        if not last:
            edge_tok = integer(f"{where}[{i}].up_to_tok", row["up_to_tok"], edge_tok + 1)
        price = integer(f"{where}[{i}].micro_usd_per_mtok", row["micro_usd_per_mtok"], 0)
        tiers.append(Tier(None if last else edge_tok, price))
    if not tiers:
        raise ValueError(f"{where}: no tiers; the last one has no up_to_tok")
    return tuple(tiers)


def _only(where: str, row: Mapping[str, Any], *keys: str) -> None:
    if sorted(row) != sorted(keys):
        raise ValueError(f"{where}: keys {sorted(row)}, wanted {sorted(keys)} (only the last tier has no up_to_tok)")
