"""One bill over input, cached and output tokens, by what each of them costs the engine.

The shares add up to the whole bill. Other ways are conventions: all on output, or the market's ratio of prices.
"""

from dataclasses import dataclass

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class TokenWork:
    """Engine time that one more token takes at the usual batch, in any unit: only the ratios count."""

    input: float
    cached: float
    output: float


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """USD per million of each kind; None where there are none of that kind."""

    input: float | None
    cached: float | None
    output: float | None


def split(usd: float, input_tok: float, cached_tok: float, output_tok: float, work: TokenWork) -> TokenPrices:
    """`input_tok` without the cached ones. What is paid for each kind adds up to `usd`."""
    total = input_tok * work.input + cached_tok * work.cached + output_tok * work.output
    if total <= 0:
        return TokenPrices(None, None, None)

    def price(tok: float, weight: float) -> float | None:
        return usd * weight / total * _MILLION if tok > 0 else None

    return TokenPrices(price(input_tok, work.input), price(cached_tok, work.cached), price(output_tok, work.output))


def naive_usd_per_million(usd_per_hour: float, peak_tok_per_s: float, utilisation_frac: float) -> float:
    """What other calculators say: price over peak throughput times a guessed utilisation. Promises nothing."""
    return usd_per_hour / (peak_tok_per_s * 3600 * utilisation_frac) * _MILLION
