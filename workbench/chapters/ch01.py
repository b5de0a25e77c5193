"""Chapter 1: what a streamed answer is made of, and from which volume on a machine of one's own is cheaper."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from sims.saturation import saturation_rps
from sims.scenario import rules_for
from workbench.chapters.about import within
from workbench.chapters.ch01_request import First, Reply
from workbench.chapters.playing import said
from workbench.economics.break_even import break_even
from workbench.economics.unit_cost import Load
from workbench.figures import escape
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number, percent
from workbench.hardware import prices
from workbench.hardware.prices import ApiPrice, MachinePrice
from workbench.profile import profile as profiles
from workbench.profile.locate import shipped
from workbench.report.prose import Prose
from workbench.report.results import Result, Results
from workbench.stats.intervals import Interval, t_interval
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec

DAY_S = 86_400
CASES = {  # the same model twice: an API's price; a rented machine and its profile. Quick takes every second
    "8B on L40S": ("deepinfra-llama-3.1-8b", "vast-1x-l40s", "llama-3.1-8b-l40s-tp1-fp8"),
    "8B on H100": ("deepinfra-llama-3.1-8b", "vast-1x-h100-sxm", "llama-3.1-8b-h100-tp1-fp8"),
    "70B on H200": ("deepinfra-llama-3.1-70b", "vast-1x-h200", "llama-3.1-70b-h200-tp1-fp8"),
    "70B on 2 H100": ("deepinfra-llama-3.1-70b", "lambda-2x-h100-sxm", "llama-3.1-70b-h100-tp2-fp8"),
    "405B on 8 H100": ("deepinfra-llama-3.1-405b", "vast-8x-h100-sxm", "llama-3.1-405b-h100-tp8-fp8"),
}
DRAWN = ("8B on L40S", "70B on H200", "405B on 8 H100")
FIELDS = {  # place in an event -> what it says
    "id": "the answer's name, the same in all its events", "model": "who answered",
    "choices[0].delta.content": "a piece of the answer: usually one token",
    "choices[0].finish_reason": "stop: it ended by itself; length: it was cut off at max_tokens",
    "usage.prompt_tokens": "what was read, the chat template's tokens included",
    "usage.completion_tokens": "what was written, the token that ends it included",
    "usage.prompt_tokens_details.cached_tokens": "of the prompt, what was not computed again",
}


def event_table(found: First) -> Table | Prose:
    """Every event of the first answer, in order."""
    if found.first is None:
        return _not_here(found)
    events = found.first.events
    rows = tuple((str(i), f"{1e3 * event.at_s:.1f}", _kind(event.value), event.text or "-")
                 for i, event in enumerate(events, 1))
    return Table(("event", "after sending (ms)", "what it is", "text"), rows,
                 f"Measured: the first answer of a fresh server to {found.first.question!r}. n = {len(events)} events.")


def _kind(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return "[DONE]: the stream is over"
    choices = value.get("choices") or [{}]
    if choices[0].get("finish_reason"):
        return f"finish_reason {choices[0]['finish_reason']}"
    if (choices[0].get("delta") or {}).get("content"):
        return "a token"
    return "usage: the counts" if value.get("usage") else "the role, no token yet"


def field_table(found: First) -> Table | Prose:
    """Which field says what, with what stood in it last."""
    if found.first is None:
        return _not_here(found)
    last: dict[str, str] = {}
    for event in found.first.events:
        for place in FIELDS:
            value = _at(event.value, place)
            if value is not None and value != "":
                last[place] = str(value)
    rows = tuple((place, last.get(place, "not told"), what) for place, what in FIELDS.items())
    return Table(("field", "here, last", "what it says"), rows, "Measured: the same answer. Field names are OpenAI's; "
                 "every server of this workbench speaks them.")


def _at(value: Any, place: str) -> Any:
    for step in place.replace("[0]", "").split("."):
        value = value.get(step) if isinstance(value, dict) else None
        value = value[0] if isinstance(value, list) and value else value
    return value


def answer_chart(found: First) -> Chart | Prose:
    if not found.longer:
        return _not_here(found)

    def steps(name: str, reply: Reply, colour: int) -> Series:
        times = tuple(1e3 * at for at in (0.0, *reply.tokens_s, reply.events[-1].at_s))
        counts = tuple(map(float, (*range(len(reply.tokens_s) + 1), len(reply.tokens_s))))
        return Series(name, times, counts, "measured", "steps", colour)

    return Chart(
        "answer_over_time", "time since the request was sent (ms)",
        (Panel("tokens received (count)", tuple(steps(name, reply, i) for i, (name, reply) in enumerate(
            zip(("first time", "the same again"), found.longer, strict=True)))),),
        "A small Python function, asked for twice: first the prompt is read, then tokens come one by one. The second "
        "time the server still knows the prompt.",
        "n = 2 requests of the shipped model on this machine, one thread, greedy, no seed",
        "Two staircases over time: how many tokens of the answer had arrived, for a request and for its repetition.")


@dataclass(frozen=True)
class Compared:
    """One model by API and on one machine. `busy_frac`: the share of what the machine completes at which both cost
    the same; above one it never pays."""

    name: str
    api: ApiPrice
    machine: MachinePrice
    load: Load  # of one request a second
    capacity_rps: Interval
    even_rps: float
    busy_frac: Interval

    def api_usd_per_day(self, per_day: float) -> float:
        tokens = (self.load.prompt_tok_mean * self.api.usd_per_million_input_tok
                  + self.load.output_tok_mean * self.api.usd_per_million_output_tok)
        return per_day * tokens / 1e6

    def own_usd_per_day(self, per_day: float) -> float:
        """Whole machines, as many as an even stream would need."""
        return 24 * self.machine.usd_per_hour * max(1, ceil(per_day / DAY_S / self.capacity_rps.mean))


def volumes(prompt_tok: int, output_tok: int, seeds: int, quick: bool) -> tuple[Compared, ...]:
    """Raises UsageError."""
    within("prompt_tok", prompt_tok, 16, 8_000)
    within("output_tok", output_tok, 2, 2_000)
    within("seeds", seeds, 2, 20)
    kept = DRAWN[:2] if quick else tuple(CASES)
    return tuple(_compared(name, prompt_tok, output_tok, 2 if quick else seeds) for name in kept)


def _compared(name: str, prompt_tok: int, output_tok: int, seeds: int) -> Compared:
    of_api, of_machine, of_profile = CASES[name]
    api = prices.find(prices.apis(), of_api, "API")
    machine = prices.find(prices.machines(), of_machine, "machine")
    profile = profiles.read(shipped()[of_profile])
    spec = WorkloadSpec.model_validate({
        "requests": 200, "arrivals": {"kind": "poisson", "rate_per_s": 1.0},
        **{name: {"kind": "lognormal", "p50_tok": tok, "p95_tok": 3 * tok, "max_tok": 8 * tok}
           for name, tok in (("prompt_tok", prompt_tok), ("output_tok", output_tok))},
    })
    capacity, even, loads = [], [], []
    for seed in range(1, seeds + 1):
        schedule = draw(spec, seed)
        most = saturation_rps(schedule, profile, rules_for(profile, {}))
        load = Load(1.0, *(float(np.mean(row)) for row in zip(*((item.asked_prompt_tok, item.asked_output_tok)
                                                               for item in schedule), strict=True)))
        equal = break_even(machine.usd_per_hour, load, api.usd_per_million_input_tok, api.usd_per_million_output_tok)
        assert most is not None
        assert equal.rate_rps is not None
        capacity.append(most)
        even.append(equal.rate_rps)
        loads.append(load)
    busy = np.array(even) / np.array(capacity)
    return Compared(name, api, machine, Load(1.0, float(np.mean([load.prompt_tok_mean for load in loads])), float(
        np.mean([load.output_tok_mean for load in loads]))), t_interval(np.array(capacity)), float(np.mean(even)),
        t_interval(busy))


def volume_chart(found: tuple[Compared, ...]) -> Chart:
    x = tuple(float(f"{value:.4g}") for value in np.geomspace(1e3, 1e7, 81))
    panels = tuple(Panel(f"USD per day, {item.name}", (
        Series("API", x, tuple(map(item.api_usd_per_day, x)), "derived", "line", 1),
        Series("own machines, rented", x, tuple(map(item.own_usd_per_day, x)), "simulated", "line", 0)), log_y=True)
        for item in found if item.name in DRAWN)
    first = found[0]
    return Chart(
        "volume", "requests per day", panels,
        "The same model by API, which charges tokens, and on rented machines, which cost the same idle or busy. "
        "Requests come evenly through the day, and machines are filled to the brim: both flatter one's own.",
        f"n = {first.busy_frac.n} seeds (1 to {first.busy_frac.n}) of what a machine completes, simulated on shipped "
        f"profiles; {first.load.prompt_tok_mean:.0f} tokens in and {first.load.output_tok_mean:.0f} out on average; "
        f"source of prices: datasets/prices, {first.api.as_of}",
        f"Panels for {len(panels)} sizes of model over requests per day, both axes logarithmic: the API's bill rises "
        "in a straight line, that of machines is flat and then climbs in steps.", log_x=True)


def volume_table(found: tuple[Compared, ...]) -> Table:
    rows = tuple((
        item.name, f"{item.api.usd_per_million_input_tok:.2f} / {item.api.usd_per_million_output_tok:.2f}",
        f"{item.machine.usd_per_hour:.2f}", number(DAY_S * item.even_rps), number(DAY_S * item.capacity_rps.mean),
        percent(item.busy_frac.mean, 0), _verdict(item.busy_frac)) for item in found)
    return Table(("model", "API in / out (USD per million)", "machine (USD/h)", "equal at (requests per day)",
                  "it completes at most", "busy when equal", "so"), rows,
                 f"Derived from prices and simulated capacity, n = {found[0].busy_frac.n} seeds. Rent alone: nobody's "
                 "working time is in it.")


def _verdict(busy: Interval) -> str:
    if busy.low > 1.0:
        return "the API is cheaper at any volume"
    return "one's own, if it is kept that busy" if busy.high < 1.0 else "too close to tell"


def when_not(found: tuple[Compared, ...]) -> Table:
    """At a thousand requests a day, the volume of a small tool."""
    cells = tuple((item.name, f"{30 * item.api_usd_per_day(1000):.2f}", f"{30 * item.own_usd_per_day(1000):.0f}",
                   number(item.own_usd_per_day(1000) / item.api_usd_per_day(1000))) for item in found)
    return Table(("model", "API (USD per 30 days)", "machine (USD per 30 days)", "machine over API"), cells,
                 "Derived: a thousand requests a day, spread evenly.")


def numbers(found: First, compared: tuple[Compared, ...]) -> Results:
    measured: list[Result] = []
    if found.first is not None:
        times = ttft(found)
        measured = [Result("ttft_first_s", found.first.ttft_s, "s", "measured", 1),
                    Result("ttft_s", times.mean, "s", "measured", times.n, times.low, times.high),
                    Result("start_s", found.started_s, "s", "measured", 1),
                    Result("right_frac", found.right / len(found.others), "", "measured", len(found.others))]
    return Results((*measured, *(
        Result(f"busy_frac_when_equal_{item.name.replace(' ', '_')}", item.busy_frac.mean, "", "simulated",
               item.busy_frac.n, item.busy_frac.low, item.busy_frac.high) for item in compared)))


def ttft(found: First) -> Interval:
    return t_interval(np.array([reply.ttft_s for reply, _ in found.others]))


def answer(found: First, compared: tuple[Compared, ...]) -> Prose:
    closest = min(compared, key=lambda item: item.busy_frac.mean)
    busy = closest.busy_frac
    text = (f"against these prices **{closest.name}** comes nearest to paying: bills are equal at "
            f"{number(DAY_S * closest.even_rps)} requests per day, {said(busy.mean, busy.low, busy.high)} of what the "
            f"machine completes (n = {busy.n} seeds); below that, the API is cheaper, and what is left are reasons "
            "that no price has: privacy, control, learning.")
    if found.first is None:
        return Prose(f"No engine was asked here ({escape.markdown(found.why)}); {text}")
    times = ttft(found)
    return Prose(
        f"The first token of an answer came after {said(1e3 * times.mean, 1e3 * times.low, 1e3 * times.high)} ms (n = "
        f"{times.n} questions, {found.right} answered right); {text}")


def _not_here(found: First) -> Prose:
    return Prose(f"Nothing was asked: {escape.markdown(found.why)}")
