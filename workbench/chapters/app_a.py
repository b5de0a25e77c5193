"""Appendix A: accelerators as their makers publish them, what fits on which, and what they cost, each with its date."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from workbench.chapters.about import chosen, within
from workbench.errors import UsageError
from workbench.figures.chart import Chart, Origin, Panel, Series
from workbench.figures.table import Table, number
from workbench.hardware import accelerators, architecture, models, prices
from workbench.hardware.accelerators import GIB, Accelerator, Dtype
from workbench.hardware.fit import Ask, fit
from workbench.hardware.owning import Dated, electricity, facility, server
from workbench.hardware.prices import ApiPrice, MachinePrice
from workbench.hardware.table import lines
from workbench.paths import datasets
from workbench.report.prose import Prose
from workbench.report.results import Result, Results

SHOWN: tuple[Dtype, ...] = ("bf16", "fp8", "fp4")
KINDS = {"gpu": "NVIDIA", "amd": "AMD", "tpu": "Google TPU", "apple": "Apple", "cpu": "CPU"}
SIZES = {"8B": "Llama-3.1-8B", "32B": "Qwen3-32B", "30B-A3B": "Qwen3-30B-A3B", "70B": "Llama-3.1-70B",
         "405B": "Llama-3.1-405B"}


def cards(kinds: str) -> list[Accelerator]:
    """Of these kinds, in the table's order. Raises UsageError."""
    wanted = chosen("kinds", kinds, tuple(KINDS))
    return [one for one in map(accelerators.find, accelerators.names()) if one.kind in wanted]


def today_of(text: str) -> date:
    """Empty: today. Raises UsageError."""
    try:
        return date.fromisoformat(text) if text else datetime.now(UTC).date()
    except ValueError:
        raise UsageError(f"on: {text!r} is no date; write YYYY-MM-DD") from None


def card_table(found: Sequence[Accelerator]) -> Table:
    rows = tuple((
        one.name, number(one.memory_gib), number(one.visible_gib), number(one.memory_bytes_per_s / 1e9),
        *(number(one.flops_per_s[kind] / 1e12) if kind in one.flops_per_s else "none" for kind in SHOWN),
        one.link or "none", number(one.tdp_w), one.as_of.isoformat(), one.flops_basis) for one in found)
    return Table(("accelerator", "GiB", "offered", "GB/s", "bf16 TFLOP/s", "fp8", "fp4", "link", "W", "date", "FLOP/s"),
                 rows, f"Vendor: datasets/hardware/accelerators.csv names each source. Peaks, dense; n = {len(rows)}. "
                 "The last column says whether the vendor printed the arithmetic or it was derived from units and "
                 "clock.")


def card_chart(found: Sequence[Accelerator]) -> Chart:
    def series(value: str, origin: Origin) -> tuple[Series, ...]:
        made = []
        for i, (kind, label) in enumerate(KINDS.items()):
            mine = sorted((one for one in found if one.kind == kind), key=lambda one: one.memory_gib)
            if mine:
                y = {"bandwidth": [one.memory_bytes_per_s / 1e9 for one in mine],
                     "ridge": [one.flops("bf16") / one.memory_bytes_per_s for one in mine]}[value]
                made.append(Series(label, tuple(one.memory_gib for one in mine), tuple(y), origin, "points", i))
        return tuple(made)

    return Chart(
        "accelerators", "memory (GiB)",
        (Panel("bandwidth (GB per second)", series("bandwidth", "vendor"), log_y=True),
         Panel("arithmetic per byte read (FLOP per byte, bf16)", series("ridge", "derived"), log_y=True)),
        "Bandwidth bounds one answer, arithmetic a full batch. The right panel is where one turns into the other: "
        "about so many requests at once, in 16 bit, until memory is no longer the limit.",
        f"source: datasets/hardware; n = {len(found)} accelerators",
        "Two panels over memory: bandwidth rises with memory among data-centre cards, and the arithmetic per byte at "
        "which a card is full lies between tens and hundreds.", log_x=True,
    )


def fits_table(found: Sequence[Accelerator], quant: str, context_tok: int) -> Table:
    """Tokens of KV beside the weights on one, or what is missing for one request. Raises UsageError."""
    within("context_tok", context_tok, 128, 131_072)
    ask = Ask(quant, context_tok)
    rows = tuple((one.name, *(_room(one, name, ask) for name in SIZES.values())) for one in found)
    return Table(("one of", *SIZES), rows,
                 f"Derived. Tokens of KV that fit beside {quant} weights on one accelerator, or GiB missing for one "
                 f"request of {context_tok:,} tokens; rules of vLLM at 90 % of the card, of llama.cpp for GGUF "
                 f"formats, on Apple and CPU. n = {len(rows)} accelerators.")


def _room(card: Accelerator, model: str, ask: Ask) -> str:
    found = fit(card, models.find(model), ask)
    return f"{found.kv_tok:,}" if found.fits else f"-{found.short_bytes / GIB:.0f} GiB"


def model_table() -> Table:
    rows = []
    for name in architecture.names():
        one = models.find(name)
        rows.append((name, number(one.params / 1e9), number(one.active_params / 1e9),
                     *(number(one.weight_bytes(quant) / GIB) for quant in ("bf16", "fp8", "awq", "Q4_K_M")),
                     number(one.kv_bytes_per_tok() / 1024), f"{one.context_tok:,}"))
    return Table(("model", "billion", "active", "bf16 GiB", "fp8", "awq", "Q4_K_M", "KV KiB/token", "context"),
                 tuple(rows), f"Derived from each config.json's dimensions (datasets/models), KV in 16 bit; "
                 f"n = {len(rows)} models.")


def machine_table(today: date) -> Table:
    rows = tuple((
        one.name, f"{one.accelerator_n} x {one.accelerator}" if one.accelerator_n else "CPU", one.tier,
        f"{one.usd_per_hour:,.2f}", f"{one.usd_per_hour / one.accelerator_n:.2f}" if one.accelerator_n else "n/a",
        f"{one.spot_usd_per_hour:,.2f}" if one.spot_usd_per_hour else "none", *_dated(one.as_of, one.as_of_kind,
                                                                                     one.is_stale(today)))
        for one in prices.machines().values())
    return Table(("machine", "of", "tier", "USD/h", "each", "spot", "date", "the date is", "old"), rows,
                 f"Imported: datasets/prices/machines.csv names each source; USD, no tax. On {today}, {_old(rows)} of "
                 f"n = {len(rows)} are older than a year.")


def api_table(today: date) -> Table:
    rows = tuple((one.name, f"{one.usd_per_million_input_tok:.2f}", f"{one.usd_per_million_output_tok:.2f}",
                  *_dated(one.as_of, one.as_of_kind, one.is_stale(today))) for one in prices.apis().values())
    return Table(("API", "input, USD per million", "output", "date", "the date is", "old"), rows,
                 f"Imported: datasets/prices/apis.csv names each source; n = {len(rows)}.")


def owning_table(today: date) -> Table:
    """Servers, electricity, and what houses cost."""
    found: list[tuple[Dated, str, str]] = []
    for name in _names("servers.csv", "name"):
        bought = server(name)
        found.append((bought, f"{bought.usd:,.0f}", f"USD, draws {bought.power_kw:g} kW"))
    for name in _names("electricity.csv", "region"):
        power = electricity(name)
        found.append((power, f"{power.usd_per_kwh:.4f}", f"USD/kWh, {power.sector}"))
    for name in _names("facilities.csv", "name"):
        fact = facility(name)
        found.append((fact, f"{fact.value:g}", fact.unit))
    rows = tuple((one.name, value, unit, one.as_of.isoformat(), _yes(one.is_stale(today)))
                 for one, value, unit in found)
    return Table(("what", "value", "unit", "date", "old"), rows,
                 f"Imported: datasets/prices names each source. On {today}, {_old(rows)} of n = {len(rows)} are older "
                 "than a year.")


def price_chart(today: date) -> Chart:
    """What a TB/s of bandwidth costs an hour, by tier."""
    found: dict[str, dict[str, float]] = {}
    for one in prices.machines().values():
        if one.accelerator_n and not one.is_stale(today):
            card = accelerators.find(one.accelerator)
            value = one.usd_per_hour / one.accelerator_n / card.memory_bytes_per_s * 1e12
            mine = found.setdefault(one.tier, {})
            mine[card.name] = min(value, mine.get(card.name, value))
    names = tuple(dict.fromkeys(name for mine in found.values() for name in mine))
    series = tuple(Series(tier, names, tuple(found[tier].get(name) for name in names), "derived", "points", i)
                   for i, tier in enumerate(found))
    return Chart(
        "price_per_bandwidth", "accelerator", (Panel("USD per hour for a TB/s", series),),
        "What an hour of bandwidth costs: the price of one answer's speed. The cheapest row of each tier; a "
        "marketplace promises less than a data centre.",
        f"source: datasets/prices without rows older than a year, datasets/hardware; n = {len(names)} accelerators",
        "Marks for each accelerator and tier of its hourly price over its bandwidth; marketplaces lie lowest.", names,
    )


def numbers(found: Sequence[Accelerator], today: date) -> Results:
    rows: list[MachinePrice | ApiPrice] = [*prices.machines().values(), *prices.apis().values()]
    best = max(found, key=lambda one: one.memory_bytes_per_s)
    return Results((
        Result("accelerators", len(found), "", "vendor", len(found)),
        Result("most_bandwidth", best.name, "", "vendor", len(found)),
        Result("most_bandwidth_bytes_per_s", best.memory_bytes_per_s, "B/s", "vendor", len(found)),
        Result("prices_older_than_a_year", sum(one.is_stale(today) for one in rows), "", "derived", len(rows)),
        *(Result(f"hold_{size}", sum(_holds(one, name) for one in found), "", "derived", len(found))
          for size, name in SIZES.items()),
    ))


def answer(found: Sequence[Accelerator], quant: str, context_tok: int) -> Prose:
    ask = Ask(quant, context_tok)
    holds = {size: sum(fit(one, models.find(name), ask).fits for one in found) for size, name in SIZES.items()}
    each = ", ".join(f"{n} hold a {size}" for size, n in holds.items())
    return Prose(f"Of {len(found)} accelerators {each} in {quant} with one request of {context_tok:,} tokens, alone; "
                 "counted from published sizes, so without an interval.")


def _holds(card: Accelerator, model: str) -> bool:
    return fit(card, models.find(model), Ask("fp8")).fits


def _names(file: str, column: str) -> list[str]:
    return [line.text(column) for line in lines(datasets() / "prices" / file)]


def _dated(as_of: date, kind: str, old: bool) -> tuple[str, str, str]:
    return as_of.isoformat(), kind, _yes(old)


def _yes(old: bool) -> str:
    return "yes" if old else ""


def _old(rows: Sequence[Sequence[str]]) -> int:
    return sum(row[-1] == "yes" for row in rows)
