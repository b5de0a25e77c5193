"""What a spot machine costs where it serves."""

import math

from workbench.economics.calculators.declare import Calculator, Input, Numbers, Output


def formula(spot_usd: float, on_demand_usd: float, interruptions_per_day: float, lost_min: float) -> Numbers:
    served = 1 - min(1.0, interruptions_per_day / 24 * lost_min / 60)
    worth = max(0.0, 1 - spot_usd / on_demand_usd) * 60 / lost_min * 24 if lost_min > 0 else math.nan
    return {"served": 100 * served, "usd_per_served_hour": spot_usd / served if served > 0 else math.nan,
            "saved": 100 * (1 - spot_usd / served / on_demand_usd) if served > 0 else math.nan,
            "worth_up_to_per_day": worth}


CALCULATOR = Calculator(
    "spot", "Spot", "What does an hour of service cost when the machine may be taken away?",
    (Input("spot_usd", "spot price", "USD/h", 0.001, 10_000, 2.49),
     Input("on_demand_usd", "on-demand price", "USD/h", 0.001, 10_000, 4.49),
     Input("interruptions_per_day", "interruptions a day", "", 0, 1000, 1),
     Input("lost_min", "lost each time: a new one, the model, work done again", "min", 0, 1440, 8)),
    (Output("served", "of the time it serves", "%", 1), Output("usd_per_served_hour", "an hour of service", "USD", 3),
     Output("saved", "saved against on demand", "%", 1),
     Output("worth_up_to_per_day", "worth it up to", "interruptions a day", 1)),
    formula, "workbench/economics/rented.py",
)
