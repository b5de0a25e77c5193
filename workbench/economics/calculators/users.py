"""How many people a replica serves, between two bounds."""

from workbench.economics.calculators.declare import Calculator, Input, Numbers, Output


def formula(users: float, think_s: float, alone_s: float, peak_rps: float) -> Numbers:
    light, knee = users / (think_s + alone_s), (think_s + alone_s) * peak_rps
    rate = min(light, peak_rps)
    return {"knee_users": knee, "rate_rps": rate, "response_s": max(alone_s, users / peak_rps - think_s)}


CALCULATOR = Calculator(
    "users", "Users of a replica", "People think, ask, wait: how many before they feel each other?",
    (Input("users", "users", "", 1, 1e7, 400, True), Input("think_s", "they think for", "s", 0, 1e5, 20),
     Input("alone_s", "an answer takes, alone", "s", 0.001, 1e4, 1),
     Input("peak_rps", "the replica's peak", "requests/s", 0.001, 1e5, 31)),
    (Output("knee_users", "they feel each other from", "users", 0),
     Output("rate_rps", "answers, at most", "requests/s", 1), Output("response_s", "an answer takes, at least", "s")),
    formula, "asymptotic bounds: workbench/economics/closed_loop.py; `workbench capacity` simulates",
)
