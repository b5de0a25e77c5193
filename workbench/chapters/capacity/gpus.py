"""What one, two, four and eight GPUs would serve inside one SLO: simulated on silicon profiles, never measured here."""

from typing import Any

from workbench.chapters.capacity.inputs import Inputs, missing
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number
from workbench.report.prose import Prose

COMMAND = "workbench demo"


def gpu_table(data: Inputs) -> Table | Prose:
    if data.gpus is None:
        return missing("gpus.json", COMMAND)
    rows = tuple(_row(row) for row in data.gpus["rows"])
    columns = ("GPU", "link", "GPUs", "best use", "carries (requests/s)", "USD/h", "USD per 1M output tok", "machine")
    return Table(columns, rows, f"{_what(data.gpus)} {_slo(data.gpus)} Origin: simulated on profiles of source silicon "
                 f"(NVIDIA's kernel database, kernel times alone); prices of the machines named; n = "
                 f"{len(data.gpus['seeds'])} seeds. Copies are taken to carry what one carries alone.")


def gpu_chart(data: Inputs) -> Chart | Prose:
    """Requests per second and cost per token against the number of GPUs, one line a card."""
    if data.gpus is None:
        return missing("gpus.json", COMMAND)
    cards = list(dict.fromkeys((row["gpu"], row["link"]) for row in data.gpus["rows"]))
    basis = (f"profiles of source silicon, {data.gpus['model']} {data.gpus['quant']}; "
             f"n = {len(data.gpus['seeds'])} seeds of {data.gpus['requests']} requests")
    return Chart(
        "gpus", "GPUs", (
            Panel("highest load inside the SLO (requests/s)", tuple(
                _split(data.gpus, card, i) for i, card in enumerate(cards))),
            Panel("cost at that load (USD per 1M output tokens)", tuple(
                _cost(data.gpus, card, i) for i, card in enumerate(cards)), log_y=True),
        ),
        f"{_what(data.gpus)} Left: one copy split over the GPUs by tensor. Right: the best use of so many GPUs, "
        "copies included.", basis,
        "Two panels over 1, 2, 4 and 8 GPUs: requests per second of one split copy, and cost per million output "
        "tokens, one line for cards linked by NVLink and one for cards linked by PCIe.", ("1", "2", "4", "8"),
    )


def gpu_answer(data: Inputs) -> Prose:
    """What the link does to splitting, in a sentence with its numbers."""
    if data.gpus is None:
        return missing("gpus.json", COMMAND)
    parts = [_scaling(data.gpus, card) for card in dict.fromkeys(
        (item["gpu"], item["link"]) for item in data.gpus["splits"])]
    best = [row for row in data.gpus["rows"] if row["gpus"] == 8 and row["cost"]]
    for row in best:
        parts.append(f"Eight {_card(row)} are best used as {_use(row)} and cost **{row['usd_per_hour']:.3g} USD/h** "
                     f"for **{row['rate_rps']:.3g} requests/s** (simulated).")
    return Prose(" ".join(part for part in parts if part))


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    cost = row["cost"]["usd_per_million_output_tok"] if row["cost"] else None
    use = _use(row) if row["tp"] else "does not fit, or misses the SLO"
    return (row["gpu"], row["link"], str(row["gpus"]), use,
            number(row["rate_rps"]), number(row["usd_per_hour"]), number(cost), row["machine"])


def _use(row: dict[str, Any]) -> str:
    copies = "one copy" if row["copies"] == 1 else f"{row['copies']} copies"
    return f"{copies} of TP {row['tp']}"


def _card(item: dict[str, Any]) -> str:
    return f"{item['gpu']} ({item['link']})"


def _split(gpus: dict[str, Any], card: tuple[str, str], colour: int) -> Series:
    found = {item["tp"]: item["carries"] for item in gpus["splits"] if item["gpu"] == card[0]}
    rates = tuple(found[n]["rate_rps"] if found.get(n) else None for n in (1, 2, 4, 8))
    return Series(f"{card[0]}, {card[1]}", ("1", "2", "4", "8"), rates, "simulated", "line", colour)


def _cost(gpus: dict[str, Any], card: tuple[str, str], colour: int) -> Series:
    found = {row["gpus"]: row["cost"] for row in gpus["rows"] if row["gpu"] == card[0]}
    costs = tuple(found[n]["usd_per_million_output_tok"] if found.get(n) else None for n in (1, 2, 4, 8))
    return Series(f"{card[0]}, {card[1]}", ("1", "2", "4", "8"), costs, "derived", "line", colour)


def _scaling(gpus: dict[str, Any], card: tuple[str, str]) -> str:
    mine = [item for item in gpus["splits"] if item["gpu"] == card[0]]
    rates = {item["tp"]: item["carries"]["rate_rps"] for item in mine if item["carries"]}
    if not rates:
        return f"No split over {card[1]} ({card[0]}) keeps the SLO."
    few, many = min(rates), max(item["tp"] for item in mine)
    if many == few:
        return ""
    if many not in rates:
        return (f"Over {card[1]} ({card[0]}), one copy split over {many} GPUs cannot keep the SLO even alone: "
                "the link takes more time than the split saves.")
    return (f"Over {card[1]} ({card[0]}), splitting one copy over {many} GPUs instead of {few} carries "
            f"**{rates[many] / rates[few]:.2g} times** the load, with {many // few} times the GPUs.")


def _what(gpus: dict[str, Any]) -> str:
    load = gpus["load"]
    return (f"{gpus['model']} in {gpus['quant']}: prompts of {load['prompt_tok_mean']:.0f}, answers of "
            f"{load['output_tok_mean']:.0f} tokens on average.")


def _slo(gpus: dict[str, Any]) -> str:
    slo = gpus["slo"]
    return (f"SLO: first token within {slo['ttft_s']:g} s, {slo['tpot_s']:g} s per token, for "
            f"{slo['attainment_frac']:.0%} of the requests.")
