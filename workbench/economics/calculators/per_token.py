"""From an hourly price to a price per million tokens, and what a guess of the utilisation does to it."""

from workbench.economics.calculators.declare import Calculator, Input, Numbers, Output


def formula(usd_per_hour: float, peak_tok_per_s: float, utilisation: float) -> Numbers:
    at_peak = usd_per_hour / (peak_tok_per_s * 3600) * 1e6
    return {"usd_per_million": at_peak / utilisation, "bound_usd_per_million": at_peak,
            "idle_usd_per_hour": usd_per_hour * (1 - utilisation)}


CALCULATOR = Calculator(
    "per_token", "Cost per token", "What do a million tokens cost at this utilisation?",
    (Input("usd_per_hour", "price of the machine", "USD/h", 0.001, 1000, 4.29),
     Input("peak_tok_per_s", "tokens per second at its peak", "tokens/s", 0.01, 1e7, 6000),
     Input("utilisation", "utilisation (simulate it: workbench cost)", "", 0.01, 1, 0.3)),
    (Output("usd_per_million", "per million tokens", "USD", 3),
     Output("bound_usd_per_million", "never below", "USD", 3), Output("idle_usd_per_hour", "paid for idling", "USD/h")),
    formula, "workbench/economics/token_split.py",
)
