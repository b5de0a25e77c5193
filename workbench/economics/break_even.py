"""Rented machines against an API price: the load at which the two bills are equal.

Machines cost the same whether they work or not; an API costs per token. So there is one crossing, in requests a
second for a given mix of lengths: below it the API is cheaper, above it the machines, as long as they carry it.
"""

from dataclasses import dataclass

from workbench.economics.unit_cost import HOURS_PER_MONTH, Load

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Where a fleet of fixed price meets an API of fixed token prices, for one mix of lengths."""

    api_usd_per_hour: float  # the API's bill at the load in question
    self_hosted_usd_per_hour: float
    rate_rps: float | None  # load at which both cost the same; None when the API is free
    monthly_total_tok: float | None  # input and output tokens a month at that load
    reachable: bool | None  # whether the fleet carries that load within its SLO; None when its capacity is unknown

    @property
    def self_hosting_is_cheaper(self) -> bool:
        """At the load in question."""
        return self.self_hosted_usd_per_hour < self.api_usd_per_hour


def api_usd_per_hour(
    load: Load, usd_per_million_input_tok: float, usd_per_million_output_tok: float, *, cached_frac: float = 0.0,
    usd_per_million_cached_tok: float | None = None,
) -> float:
    """What the API charges for an hour of this load; `cached_frac` of the prompts at their own price, if it has one."""
    less = usd_per_million_input_tok - usd_per_million_cached_tok if usd_per_million_cached_tok is not None else 0.0
    prompt = load.input_tok_per_hour * (usd_per_million_input_tok - cached_frac * less)
    return (prompt + load.output_tok_per_hour * usd_per_million_output_tok) / _MILLION


def break_even(
    usd_per_hour: float, load: Load, usd_per_million_input_tok: float, usd_per_million_output_tok: float,
    capacity_rps: float | None = None,
) -> BreakEven:
    """Compare at `load`, and find the crossing for its mix; `capacity_rps` is what the fleet carries within its SLO."""
    api = api_usd_per_hour(load, usd_per_million_input_tok, usd_per_million_output_tok)
    if api <= 0:
        return BreakEven(api, usd_per_hour, None, None, None)
    rate_rps = load.rate_rps * usd_per_hour / api
    monthly = rate_rps * (load.prompt_tok_mean + load.output_tok_mean) * 3600 * HOURS_PER_MONTH
    return BreakEven(api, usd_per_hour, rate_rps, monthly, None if capacity_rps is None else rate_rps <= capacity_rps)
