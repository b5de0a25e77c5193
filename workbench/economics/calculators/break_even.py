"""From which load on own machines are cheaper than an API."""

from workbench.economics.calculators.declare import Calculator, Input, Numbers, Output


def formula(usd_per_hour: float, machines: float, prompt_tok: float, output_tok: float, usd_in: float,
            usd_out: float) -> Numbers:
    each = (prompt_tok * usd_in + output_tok * usd_out) / 1e6
    rate = usd_per_hour * machines / 3600 / each
    return {"usd_per_request": each, "requests_per_s": rate, "requests_per_day": rate * 86_400,
            "million_tok_per_month": rate * (prompt_tok + output_tok) * 3600 * 730 / 1e6}


CALCULATOR = Calculator(
    "break_even", "API or own", "At which load does an API charge as much as the machines?",
    (Input("usd_per_hour", "price of a machine", "USD/h", 0.001, 1000, 4.29),
     Input("machines", "machines", "", 1, 10_000, 1, True), Input("prompt_tok", "prompt", "tokens", 1, 1e6, 900),
     Input("output_tok", "answer", "tokens", 1, 1e6, 220),
     Input("usd_in", "API, million input tokens", "USD", 0.0001, 1000, 0.4),
     Input("usd_out", "API, million output tokens", "USD", 0.0001, 1000, 0.4)),
    (Output("usd_per_request", "API, a request", "USD", 6), Output("requests_per_s", "equal at", "requests/s", 3),
     Output("requests_per_day", "that is", "requests a day", 0),
     Output("million_tok_per_month", "or", "million tokens a month", 0)),
    formula, "workbench/economics/break_even.py; whether the machines carry that load is another question",
)
