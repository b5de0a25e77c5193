"""From USD per hour to USD per million tokens. There is no cost "per token" without saying which tokens.

Each figure puts the *whole* cost on one denominator: input, output or all tokens. They are three views of one
bill, not three parts of it: they must not be added up.
"""

from dataclasses import dataclass

HOURS_PER_MONTH = 730  # 365 * 24 / 12
_SECONDS_PER_HOUR = 3600
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """Work asked of a fleet: requests a second and mean lengths."""

    rate_rps: float
    prompt_tok_mean: float
    output_tok_mean: float

    @property
    def input_tok_per_hour(self) -> float:
        return self.rate_rps * self.prompt_tok_mean * _SECONDS_PER_HOUR

    @property
    def output_tok_per_hour(self) -> float:
        return self.rate_rps * self.output_tok_mean * _SECONDS_PER_HOUR

    @property
    def total_tok_per_hour(self) -> float:
        return self.input_tok_per_hour + self.output_tok_per_hour


@dataclass(frozen=True, slots=True)
class UnitCost:
    """One bill seen over three denominators (None where that denominator is zero)."""

    usd_per_hour: float
    usd_per_month: float
    usd_per_thousand_requests: float | None
    usd_per_million_input_tok: float | None
    usd_per_million_output_tok: float | None
    usd_per_million_total_tok: float | None


def unit_cost(usd_per_hour: float, load: Load) -> UnitCost:
    """Spread an hour's cost over the tokens of that hour."""
    requests = load.rate_rps * _SECONDS_PER_HOUR
    return UnitCost(
        usd_per_hour=usd_per_hour,
        usd_per_month=usd_per_hour * HOURS_PER_MONTH,
        usd_per_thousand_requests=usd_per_hour / requests * 1000 if requests > 0 else None,
        usd_per_million_input_tok=_per_million(usd_per_hour, load.input_tok_per_hour),
        usd_per_million_output_tok=_per_million(usd_per_hour, load.output_tok_per_hour),
        usd_per_million_total_tok=_per_million(usd_per_hour, load.total_tok_per_hour),
    )


def _per_million(usd_per_hour: float, tok_per_hour: float) -> float | None:
    return usd_per_hour / tok_per_hour * _MILLION if tok_per_hour > 0 else None
