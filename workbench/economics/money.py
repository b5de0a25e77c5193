"""Money in ledgers: integers only. Prices in micro-USD per million tokens times tokens are pico-USD, exactly."""

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

from workbench.errors import UsageError

PUSD_PER_USD = 10**12
PUSD_PER_CENT = 10**10


def microusd_per_million(usd_per_million_tok: str | int | Decimal) -> int:
    """A price in micro-USD per million tokens; text or Decimal, because a float has already lost digits."""
    try:
        scaled = Decimal(usd_per_million_tok) * 10**6
    except InvalidOperation:
        raise UsageError(f"{usd_per_million_tok!r} is no price; write USD per million tokens as a number") from None
    if not scaled.is_finite() or scaled < 0 or scaled != scaled.to_integral_value():
        raise UsageError(f"{usd_per_million_tok}: a price has at most six decimals and is not negative")
    return int(scaled)


def charge_pusd(price_microusd_per_million: int, tok: int) -> int:
    """What `tok` tokens cost: micro-USD per 10^6 tokens times tokens is 10^-12 USD times tokens, so no division."""
    return price_microusd_per_million * tok


def divide_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator to the nearest integer, ties to the even one; the denominator is positive."""
    if denominator <= 0:
        raise ValueError("the denominator must be positive")
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient % 2):
        quotient += 1
    return quotient


def round_cents(pusd: int) -> int:
    """An invoice's total in cents: rounded once, half-even."""
    return divide_half_even(pusd, PUSD_PER_CENT)


def shown_usd(pusd: int) -> str:
    """Pico-USD as USD text with every digit that is not a trailing zero: exact, for people."""
    return format(Decimal(pusd).scaleb(-12).normalize(), "f")


def from_usd(usd: str | Decimal) -> int:
    """USD as text or Decimal to pico-USD, half-even on what is finer."""
    return int((Decimal(usd) * PUSD_PER_USD).to_integral_value(ROUND_HALF_EVEN))
