"""What a tier must cost for a margin."""

from workbench.economics.calculators.declare import Calculator, Input, Numbers, Output


def formula(requests: float, prompt_tok: float, output_tok: float, cost_in: float, cost_out: float, support: float,
            fee: float, margin: float) -> Numbers:
    each = (prompt_tok * cost_in + output_tok * cost_out) / 1e6
    cost = requests * each + support
    price = cost / (1 - fee - margin)
    return {"cost_usd": cost, "price_usd": price, "profit_usd": price * margin,
            "requests_at_no_margin": (price * (1 - fee) - support) / each}


CALCULATOR = Calculator(
    "tier_price", "Price of a tier", "What must a subscription cost for this gross margin?",
    (Input("requests", "requests a month", "", 1, 1e7, 600), Input("prompt_tok", "prompt", "tokens", 1, 1e6, 900),
     Input("output_tok", "answer", "tokens", 1, 1e6, 220),
     Input("cost_in", "our cost, million input tokens", "USD", 0.0001, 1000, 0.1),
     Input("cost_out", "our cost, million output tokens", "USD", 0.0001, 1000, 0.6),
     Input("support", "support, a month", "USD", 0, 1000, 0.5), Input("fee", "payment fee", "", 0, 0.2, 0.03),
     Input("margin", "gross margin", "", 0, 0.75, 0.7)),
    (Output("cost_usd", "cost, a month", "USD", 3), Output("price_usd", "price, a month", "USD"),
     Output("profit_usd", "gross profit, a month", "USD"),
     Output("requests_at_no_margin", "nothing is left at", "requests a month", 0)),
    formula, "price x (1 - fee - margin) = cost",
)
