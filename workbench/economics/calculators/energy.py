"""Energy, its cost and its CO2."""

from workbench.economics.calculators.declare import Calculator, Input, Numbers, Output


def formula(machines: float, power_kw: float, idle: float, busy: float, pue: float, usd_per_kwh: float,
            kg_per_kwh: float, tok_per_s: float) -> Numbers:
    kwh = machines * power_kw * (idle + (1 - idle) * busy) * pue * 730
    tok = tok_per_s * 3600 * 730 / 1e6
    return {"kwh": kwh, "usd": kwh * usd_per_kwh, "kg_co2": kwh * kg_per_kwh, "wh_per_thousand_tok": kwh / tok}


CALCULATOR = Calculator(
    "energy", "Energy", "Electricity and CO2 of a month?",
    (Input("machines", "machines", "", 1, 1e5, 1, True),
     Input("power_kw", "power at full load", "kW", 0.001, 1000, 10.2),
     Input("idle", "of it when idle", "", 0, 1, 0.3), Input("busy", "time busy", "", 0, 1, 0.5),
     Input("pue", "PUE", "", 1, 5, 1.58), Input("usd_per_kwh", "electricity", "USD/kWh", 0, 10, 0.1),
     Input("kg_per_kwh", "CO2 of the grid", "kg/kWh", 0, 2, 0.39),
     Input("tok_per_s", "tokens per second, on average", "tokens/s", 0.01, 1e7, 3000)),
    (Output("kwh", "a month", "kWh", 0), Output("usd", "a month", "USD", 0), Output("kg_co2", "a month", "kg CO2", 0),
     Output("wh_per_thousand_tok", "a thousand tokens", "Wh", 3)),
    formula, "power linear in use: workbench/economics/owned.py",
)
