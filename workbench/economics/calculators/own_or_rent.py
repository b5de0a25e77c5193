"""Buy a machine, or rent one."""

import math

from workbench.economics.calculators.declare import Calculator, Input, Numbers, Output


def formula(server_usd: float, life_months: float, residual: float, rate: float, power_kw: float, pue: float,
            usd_per_kwh: float, colocation: float, other: float, rent_usd_per_hour: float) -> Numbers:
    monthly, left = rate / 12, residual * server_usd
    if monthly == 0:
        capital = (server_usd - left) / life_months
    else:
        discount = (1 + monthly) ** -life_months
        capital = (server_usd - left * discount) * monthly / (1 - discount)
    running = power_kw * pue * 730 * usd_per_kwh + power_kw * colocation + other
    rent = rent_usd_per_hour * 730
    payback = server_usd / (rent - running) if rent > running else math.nan
    return {"capital_usd": capital, "running_usd": running, "own_usd_per_month": capital + running,
            "rent_usd_per_month": rent, "own_hours_per_month": (capital + running) / rent_usd_per_hour,
            "payback_months": payback}


CALCULATOR = Calculator(
    "own_or_rent", "Own or rent", "How many hours a month must it run before buying is cheaper?",
    (Input("server_usd", "price", "USD", 1, 1e8, 317_000),
     Input("life_months", "life", "months", 1, 240, 36, True),
     Input("residual", "sold for, of the price", "", 0, 1, 0.3),
     Input("rate", "cost of capital, a year", "", 0, 1, 0.1),
     Input("power_kw", "power", "kW", 0, 10_000, 10.2), Input("pue", "PUE", "", 1, 5, 1.5),
     Input("usd_per_kwh", "electricity", "USD/kWh", 0, 10, 0.1),
     Input("colocation", "colocation, a kW and month", "USD", 0, 10_000, 200),
     Input("other", "people, support, a month", "USD", 0, 1e7, 2000),
     Input("rent_usd_per_hour", "rent of such a machine", "USD/h", 0.001, 10_000, 31.92)),
    (Output("capital_usd", "capital, a month", "USD", 0), Output("running_usd", "running, a month", "USD", 0),
     Output("own_usd_per_month", "own, a month", "USD", 0), Output("rent_usd_per_month", "rent all month", "USD", 0),
     Output("own_hours_per_month", "equal at so many rented hours a month", "h", 0),
     Output("payback_months", "paid back against renting all month", "months", 1)),
    formula, "annuity: workbench/economics/owned.py",
)
