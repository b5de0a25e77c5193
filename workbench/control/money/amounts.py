"""Units of money, one rounding, and ways to split an amount so that the parts add up to it.

Pico-USD (`_pusd`, 1e-12 USD) in ledgers, cents on invoices. Micro-USD per million tokens times tokens is pico-USD,
exactly: no price list needs a fraction.
"""

from collections.abc import Sequence

PUSD_PER_MICRO_USD = 10**6
PUSD_PER_CENT = 10**10
PUSD_PER_USD = 10**12


def to_cents(pusd: int) -> int:
    """Nearest cent, half to even: over many invoices rounding favours nobody."""
    cents, rest = divmod(pusd, PUSD_PER_CENT)
    return cents + (2 * rest > PUSD_PER_CENT or (2 * rest == PUSD_PER_CENT and cents % 2 == 1))


def rounded_lines(pusd: Sequence[int]) -> tuple[int, list[int]]:
    """The total in cents, rounded once, and a number of cents for each line: they sum to the total.

    Largest remainder: every line is rounded down, and the cents still missing go to those that lost most (ties to
    the earlier). So a line is less than a cent off, lines may be negative, and a line of whole cents stays.
    """
    total = to_cents(sum(pusd))
    cents, rests = [one // PUSD_PER_CENT for one in pusd], [one % PUSD_PER_CENT for one in pusd]
    for i in sorted(range(len(cents)), key=lambda i: (-rests[i], i))[:total - sum(cents)]:
        cents[i] += 1
    return total, cents


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Split a total over weights by largest remainder, ties to the earlier; nothing to a weight of zero."""
    whole = sum(weights)
    if min(weights, default=0) < 0 or whole == 0 or total < 0:
        raise ValueError(f"cannot split {total} over weights {list(weights)[:8]}: none negative, one positive")
    parts, rests = [total * one // whole for one in weights], [total * one % whole for one in weights]
    for i in sorted(range(len(parts)), key=lambda i: (-rests[i], i))[:total - sum(parts)]:
        parts[i] += 1
    return parts


def integer(name: str, value: int, least: int | None = None) -> int:
    """The value, if it is an int (a float would lose pico-USD without a word) and not below the least."""
    if type(value) is not int:
        raise ValueError(f"{name}: {value!r} is not an integer")
    if least is not None and value < least:
        raise ValueError(f"{name}: {value} is less than {least}")
    return value


def usd(cents: int) -> str:
    """For people: `-12.05`."""
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"
