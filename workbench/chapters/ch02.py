"""Chapter 2: what a model needs, how fast memory lets it answer, which machine that is, and whether to buy it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np

from workbench.chapters.about import within
from workbench.chapters.ch02_machine import Machine
from workbench.economics.owned import Owned, month
from workbench.economics.unit_cost import HOURS_PER_MONTH
from workbench.errors import UsageError
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number, percent
from workbench.hardware import accelerators, models, prices
from workbench.hardware.accelerators import GIB, Accelerator
from workbench.hardware.architecture import Architecture
from workbench.hardware.fit import Ask, ceiling_tok_per_s, fit
from workbench.hardware.memory import Split
from workbench.hardware.owning import Dated, electricity, facility, server
from workbench.hardware.prices import MachinePrice
from workbench.paths import datasets
from workbench.profile.batch import Batch
from workbench.profile.profile import read
from workbench.report.prose import Prose
from workbench.report.results import Result, Results

AT_ONCE = (1, 2, 4, 8, 16, 32, 64)
AT_HOME = ("RTX3060", "RTX4090", "M1-Pro", "M4-Max", "CPU-8core-DDR5")
HOME_FORMATS = ("f16", "Q8_0", "Q4_K_M")
MATRIX = {"meta-llama/Llama-3.1-8B": ("bf16", "fp8"), "Qwen/Qwen3-32B": ("bf16", "fp8", "awq"),
          "meta-llama/Llama-3.1-70B": ("bf16", "fp8", "awq"), "meta-llama/Llama-3.1-405B": ("fp8", "awq")}
CONTEXT_TOK = 1024  # of the request whose speed is compared
SHIPPED = {"8B A100 bf16": ("llama-3.1-8b-a100-tp1-bf16", "A100-80GB", "Llama-3.1-8B", "bf16", 1),
           "8B L40S fp8": ("llama-3.1-8b-l40s-tp1-fp8", "L40S", "Llama-3.1-8B", "fp8", 1),
           "8B H100 fp8": ("llama-3.1-8b-h100-tp1-fp8", "H100-SXM", "Llama-3.1-8B", "fp8", 1),
           "32B H100 fp8": ("qwen3-32b-h100-tp1-fp8", "H100-SXM", "Qwen3-32B", "fp8", 1),
           "70B 4 H100 fp8": ("llama-3.1-70b-h100-tp4-fp8", "H100-SXM", "Llama-3.1-70B", "fp8", 4),
           "70B H200 fp8": ("llama-3.1-70b-h200-tp1-fp8", "H200", "Llama-3.1-70B", "fp8", 1)}
SERVER, RENTALS = "8x-h100-server", ("vast-8x-h100-sxm", "jarvislabs-8x-h100", "lambda-8x-h100-sxm")


def memory_chart(context_tok: int, gpu: str) -> Chart:
    """Weights and KV over the requests at once, beside the book's formula. Raises UsageError."""
    within("context_tok", context_tok, 128, 131_072)
    card, counts = accelerators.find(gpu), tuple(map(float, AT_ONCE))
    series = []
    for i, (name, quant) in enumerate((("Llama-2-7B", "bf16"), ("Llama-3.1-8B", "bf16"), ("Llama-3.1-8B", "Q4_K_M"))):
        model = models.find(name)
        need = tuple((model.weight_bytes(quant) + n * model.kv_bytes(context_tok)) / GIB for n in AT_ONCE)
        series.append(Series(f"{name} {quant}", counts, need, "derived", "line", i))
    seven = models.find("Llama-2-7B").weight_bytes("bf16") * 1.2 / GIB
    book = Series("the book, overhead 1.2", counts, (seven,) * len(counts), "derived", "line", 6)
    offers = Series(f"{card.name} offers", counts, (card.visible_gib,) * len(counts), "vendor", "line", 3)
    return Chart(
        "memory", f"requests of {context_tok:,} tokens at once",
        (Panel("memory (GiB)", (*series, book, offers), log_y=True),),
        "Weights stay, the cache of keys and values grows with every request. A formula of size, bits and overhead is "
        "a flat line.", f"source: datasets/models, datasets/hardware; KV in 16 bit, no activations; n = {len(series)} "
        "models", "Lines of memory over the number of requests: the formula of the book is flat, the models rise, and "
        "one with few KV heads rises slower.", log_x=True,
    )


def home_table(context_tok: int) -> Table:
    """One person, one request: what a machine at home holds, and how fast its memory allows."""
    model, rows = models.find("Llama-3.1-8B"), []
    for card in map(accelerators.find, AT_HOME):
        cells = []
        for quant in HOME_FORMATS:
            ask = Ask(quant, context_tok, engine="llama.cpp")
            found = fit(card, model, ask)
            cells.append(number(ceiling_tok_per_s(card, model, ask), 2) if found.fits
                         else f"no, {found.short_bytes / GIB:.1f} GiB short")
        rows.append((card.name, number(card.visible_gib), *cells))
    return Table(("machine", "offers (GiB)", *(f"{quant} (tokens/s)" for quant in HOME_FORMATS)), tuple(rows),
                 f"At most so many tokens/s. Roofline: bandwidth over what a token reads, {model.name}, one request of "
                 f"{context_tok:,} tokens, llama.cpp's rules of memory. Source: datasets/hardware, n = {len(rows)} "
                 "machines.")


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second of one request: what bandwidth allows, and what measured kernels add up to."""

    ceiling: float
    imported: float

    @property
    def frac(self) -> float:
        return self.imported / self.ceiling


def speeds() -> dict[str, Speed]:
    """Shipped profiles (imported kernel times) against bandwidth, a request of `CONTEXT_TOK` tokens."""
    batch, found = Batch((), 1, CONTEXT_TOK, CONTEXT_TOK, CONTEXT_TOK), {}
    for name, (file, gpu, model, quant, tp) in SHIPPED.items():
        profile = read(datasets() / "profiles" / "silicon" / f"{file}.json")
        ask = Ask(quant, 2 * CONTEXT_TOK, split=Split(tp), engine="vllm")  # a ceiling reads half of it on average
        ceiling = ceiling_tok_per_s(accelerators.find(gpu), models.find(model), ask)
        found[name] = Speed(ceiling, 1e9 / profile.iteration_ns(batch))
    return found


def speed_chart(found: Mapping[str, Speed]) -> Chart:
    names = tuple(found)
    return Chart(
        "ceilings", "model, card and format",
        (Panel("tokens per second of one request", (
            Series("ceiling by bandwidth", names, tuple(row.ceiling for row in found.values()), "roofline", "bars", 5),
            Series("kernels added up", names, tuple(row.imported for row in found.values()), "imported", "points",
                   0))),),
        f"Every active weight and a cache of {CONTEXT_TOK:,} tokens are read once for a token. What is missing below "
        "the ceiling are kernel starts, all-reduces and bandwidth that is not reached.",
        "source: datasets/hardware, datasets/profiles/silicon; n = 1 profile for each, made from measured kernels, "
        "not from an engine",
        "Bars of the ceiling and marks of kernel times added up, for six pairs of model and cards; every mark lies "
        "below its bar.", names,
    )


def matrix(context_tok: int) -> Table:
    """The cheapest machine of the price table that holds it."""
    rows = [(f"{name.rpartition('/')[2]} {quant}", *(_cheapest(models.find(name), quant, context_tok, n)
                                                    for n in (1, 16, 64)))
            for name, quants in MATRIX.items() for quant in quants]
    return Table(("model and format", "one request", "16 at once", "64 at once"), tuple(rows),
                 f"Derived: the cheapest rented machine that holds weights, KV of so many requests of {context_tok:,} "
                 "tokens and what vLLM needs, whole cards, tensor parallel. It says what fits, not how fast. "
                 f"Source: datasets/prices, n = {len(_rentable())} machines, of any tier (a marketplace is no "
                 "data centre).")


def _cheapest(model: Architecture, quant: str, context_tok: int, requests: int) -> str:
    for row, card in _rentable():
        try:
            found = fit(card, model, Ask(quant, context_tok, requests, split=Split(row.accelerator_n), engine="vllm"))
        except UsageError:
            continue  # does not divide over so many cards
        if found.fits:
            return f"{row.accelerator_n} x {card.name}, {row.usd_per_hour:.2f} USD/h"
    return "none in the table"


def _rentable() -> list[tuple[MachinePrice, Accelerator]]:
    """GPUs that both tables know, the cheapest first."""
    found = []
    for row in prices.machines().values():
        if row.accelerator != "none" and not row.accelerator.startswith("tpu"):
            found.append((row, accelerators.find(row.accelerator)))
    return sorted(found, key=lambda pair: (pair[0].usd_per_hour, pair[0].name))


@dataclass(frozen=True)
class OwnOrRent:
    """A month of one 8 x H100 machine: own (USD), and each rental's USD an hour; `stale`: rows over a year old."""

    own_usd: float
    rent_usd_per_hour: Mapping[str, float]
    stale: tuple[str, ...]

    def equal_hours(self, name: str) -> float:
        """Rented hours a month that cost as much as owning."""
        return self.own_usd / self.rent_usd_per_hour[name]


def own_or_rent(region: str, staff_usd_per_month: float, today: date | None = None) -> OwnOrRent:
    """Three years, 10 % cost of capital, busy half the time. Raises UsageError."""
    within("staff_usd_per_month", staff_usd_per_month, 0, 1e6)
    bought, power = server(SERVER), electricity(region)
    facts = {name: facility(name) for name in ("pue_average", "colocation", "residual_after_3_years")}
    rented = {name: prices.find(prices.machines(), name, "machine") for name in RENTALS}
    owned = Owned(
        server_usd=bought.usd, residual_frac=facts["residual_after_3_years"].value, capital_rate_per_year=0.10,
        power_kw=bought.power_kw, pue=facts["pue_average"].value, usd_per_kwh=power.usd_per_kwh,
        colocation_usd_per_kw_month=facts["colocation"].value, staff_usd_per_month=staff_usd_per_month,
        maintenance_frac_per_year=0.05)
    now = today or datetime.now(UTC).date()
    used: list[Dated | MachinePrice] = [bought, power, *facts.values(), *rented.values()]
    stale = tuple(row.name for row in used if row.is_stale(now))
    return OwnOrRent(month(owned, 1, 0.5).usd, {name: row.usd_per_hour for name, row in rented.items()}, stale)


def own_or_rent_chart(found: OwnOrRent) -> Chart:
    hours = tuple(float(x) for x in np.linspace(0, HOURS_PER_MONTH, 21))
    rents = tuple(Series(name, hours, tuple(x * usd / 1000 for x in hours), "derived", "line", i)
                  for i, (name, usd) in enumerate(found.rent_usd_per_hour.items()))
    old = f" Rows older than a year: {', '.join(found.stale)}." if found.stale else ""
    return Chart(
        "own_or_rent", "hours rented in a month (h)",
        (Panel("cost of a month (thousand USD)", rents, found.own_usd / 1000, "owned, whatever it does"),),
        f"Eight H100: a machine that is bought costs the same whether it works or not.{old}",
        f"source: datasets/prices; n = {len(rents)} rental prices; own: 36 months, 10 % cost of capital",
        "Lines of rent that rise with the hours of a month, and a flat line of owning that crosses those whose price "
        "is high enough.",
    )


def numbers(machine: Machine, found: Mapping[str, Speed], owned: OwnOrRent) -> Results:
    read, peak = machine.bytes_per_s, machine.flops_per_s
    return Results((
        Result("read_bytes_per_s", read.median, "B/s", "measured", machine.repeats, read.low, read.high),
        Result("flops_per_s", peak.median, "FLOP/s", "measured", machine.repeats, peak.low, peak.high),
        Result("best_read_bytes_per_s", machine.best_bytes_per_s, "B/s", "measured", machine.repeats),
        Result("ridge_flop_per_byte", machine.ridge, "FLOP/B", "derived"),
        Result("ceiling_8b_q4_k_m_here_tok_per_s", _here(machine), "tok/s", "derived"),
        *(Result(f"of_ceiling_frac_{name.replace(' ', '_')}", row.frac, "", "derived", 1)
          for name, row in found.items()),
        Result("own_usd_per_month", owned.own_usd, "USD", "derived"),
        *(Result(f"equal_hours_{name}", owned.equal_hours(name), "h", "derived") for name in owned.rent_usd_per_hour),
    ))


def answer(machine: Machine, found: Mapping[str, Speed], owned: OwnOrRent) -> Prose:
    read, fracs = machine.bytes_per_s, [row.frac for row in found.values()]
    equal = [owned.equal_hours(name) for name in owned.rent_usd_per_hour]
    doubt = "; other programs ran beside, and alone it is faster" if machine.is_disturbed else ""
    never = sum(hours > HOURS_PER_MONTH for hours in equal)
    return Prose(
        f"This machine read {number(machine.best_bytes_per_s / 1e9)} GB/s at best ({number(read.low / 1e9)} to "
        f"{number(read.high / 1e9)} in {machine.repeats} plain readings{doubt}), which bounds an 8B at Q4_K_M at "
        f"{_here(machine):.1f} tokens/s; kernels of data-centre cards "
        f"reach {percent(min(fracs), 0)} to {percent(max(fracs), 0)} of that kind of ceiling; and "
        f"eight H100 are worth owning from {min(equal):.0f} rented hours a month at the dearest of {len(equal)} "
        f"prices, and {'never' if never else 'always'} within a month at {never or len(equal)} of them."
    )


def _here(machine: Machine) -> float:
    return machine.best_bytes_per_s / models.find("Llama-3.1-8B").weight_bytes("Q4_K_M")
