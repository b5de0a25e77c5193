"""Return on an investment that pays back month by month."""

import math

from workbench.economics.calculators.declare import Calculator, Input, Numbers, Output


def formula(invested_usd: float, monthly_usd: float, months: float, rate: float, sold_usd: float) -> Numbers:
    discounted = sum(monthly_usd / (1 + rate) ** (m / 12) for m in range(1, int(months) + 1))
    worth = discounted + sold_usd / (1 + rate) ** (months / 12) - invested_usd
    cash = monthly_usd * months + sold_usd - invested_usd
    payback = invested_usd / monthly_usd if monthly_usd > 0 else math.nan
    return {"npv_usd": worth, "cash_usd": cash, "roi": 100 * cash / invested_usd, "payback_months": payback}


CALCULATOR = Calculator(
    "roi", "Return", "Is it worth it at the cost of capital?",
    (Input("invested_usd", "invested", "USD", 1, 1e9, 371_000),
     Input("monthly_usd", "left over, a month", "USD", -1e7, 1e8, 14_000),
     Input("months", "months", "", 1, 240, 36, True),
     Input("rate", "cost of capital, a year", "", 0, 1, 0.1),
     Input("sold_usd", "sold for in the end", "USD", 0, 1e9, 95_000)),
    (Output("npv_usd", "net present value", "USD", 0), Output("cash_usd", "cash", "USD", 0),
     Output("roi", "return", "%", 1),
     Output("payback_months", "paid back after", "months", 1)),
    formula, "workbench/economics/business.py, with the same amount every month",
)
