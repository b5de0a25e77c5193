"""How fast one answer can come at most."""

from workbench.economics.calculators.declare import Calculator, Input, Numbers, Output


def formula(bandwidth_gb_per_s: float, active_b: float, bits: float, cards: float) -> Numbers:
    read_gb = active_b * bits / 8
    rate = bandwidth_gb_per_s * cards / read_gb
    return {"read_gb_per_tok": read_gb, "tok_per_s": rate, "s_per_thousand_tok": 1000 / rate}


CALCULATOR = Calculator(
    "ceiling", "Speed limit", "Every active weight is read once for each token: how many tokens a second, at most?",
    (Input("bandwidth_gb_per_s", "memory bandwidth of a card", "GB/s", 1, 100_000, 360),
     Input("active_b", "active parameters", "billion", 0.01, 2000, 8.03),
     Input("bits", "bits per weight", "bit", 1, 32, 4.89),
     Input("cards", "cards (tensor parallel)", "", 1, 64, 1, True)),
    (Output("read_gb_per_tok", "read for a token", "GB"), Output("tok_per_s", "at most", "tokens/s", 1),
     Output("s_per_thousand_tok", "a thousand tokens", "s", 1)),
    formula, "roofline of decoding at batch 1; a bound, not a forecast",
)
