"""The question, the numbers that others read, and the answer in a sentence."""

from collections.abc import Iterator
from typing import Any

from workbench.chapters.capacity.inputs import Inputs, called
from workbench.chapters.capacity.measured import SHOWN
from workbench.figures import escape
from workbench.metrics import METRICS
from workbench.report.prose import Prose
from workbench.report.results import Result, Results

COSTS = ("usd_per_hour", "usd_per_million_input_tok", "usd_per_million_output_tok", "usd_per_million_total_tok")


def question(data: Inputs) -> Prose:
    """The load and the promise, in numbers."""
    if data.plan is None:
        return Prose("No plan is among the inputs, so the question stops at: how well is this machine predicted?")
    load, slo = data.plan["load"], data.plan["slo"]
    limits = [f"{METRICS[name].label} at most {slo[name]:g} s" for name in SHOWN if name in slo]
    return Prose(
        f"The load: **{load['rate_rps']:.3g} requests/s**, prompts of {load['prompt_tok_mean']:.0f} and answers of "
        f"{load['output_tok_mean']:.0f} tokens on average. The promise: {', '.join(limits)}, for "
        f"**{slo['attainment_frac']:.0%}** of the requests. The choice: {len(data.plan['candidates'])} candidates."
    )


def numbers(data: Inputs) -> Results:
    """For results.json: errors of the prediction, then the decision.

    `e2e_mean_error_frac` and its like speak of the workload with the most repeats; with a quantisation's name
    behind them (`..._q4_0`), of that one.
    """
    return Results((*_validation(data), *_plan(data), *_gpus(data)))


def answer(data: Inputs) -> Prose:
    parts = []
    if data.plan is not None:
        parts.append(escape.markdown(data.plan["answer"]))
    for item in data.validations:
        parts.append(f"Prediction for {escape.markdown(called(item['subject']))}: {escape.markdown(item['verdict'])}.")
    return Prose(" ".join(parts) or "The inputs hold neither a plan nor a validation: no answer.")


def _validation(data: Inputs) -> Iterator[Result]:
    if data.validations:
        yield from _errors(max(data.validations, key=lambda item: item["repeats"]), "")
    for item in data.validations:
        yield from _errors(item, "_" + called(item["subject"]).lower())


def _errors(item: dict[str, Any], suffix: str) -> Iterator[Result]:
    metrics, repeats = item["metrics"], item["repeats"]
    for name in SHOWN:
        cell, stem = metrics[name]["mean"], name.removesuffix("_s")
        measured, half = cell["measured"], cell["half_range_frac"]
        ends = (None, None) if measured is None or half is None else (measured * (1 - half), measured * (1 + half))
        yield Result(f"{stem}_mean_measured_s{suffix}", measured, "s", "measured", repeats, *ends)
        yield Result(f"{stem}_mean_simulated_s{suffix}", cell["simulated"], "s", "simulated", repeats)
        yield Result(f"{stem}_mean_error_frac{suffix}", cell["rel_error_frac"], "", "derived", repeats)
        yield Result(f"{stem}_mean_half_range_frac{suffix}", half, "", "measured", repeats)
    yield Result(f"verdict{suffix}", str(item["verdict"]), "", "derived", repeats)


def _plan(data: Inputs) -> Iterator[Result]:
    if data.plan is None:
        return
    n = len(data.plan["load"]["seeds"])
    yield Result("target_rate_rps", data.plan["load"]["rate_rps"], "requests/s", "derived", n)
    for item in data.plan["candidates"]:
        suffix = f"_{str(item['name']).lower()}"
        yield Result(f"replicas{suffix}", item["replicas"], "replicas", "simulated", n)
        yield Result(f"replicas_divided{suffix}", item["divided"]["replicas"], "replicas", "derived")
        if item["knee"] is not None:
            yield Result(f"knee_rps{suffix}", item["knee"]["rate_rps"], "requests/s", "simulated", n)
        if item["met"]:
            held = item["at_load"]["attainment_frac"]
            yield Result(f"slo_attainment_frac{suffix}", held["mean"], "", "simulated", n, held["low"], held["high"])
    chosen = data.plan["choice"]
    if chosen is None:
        return
    yield Result("chosen", str(chosen["name"]), "", "derived")
    yield Result("chosen_replicas", chosen["replicas"], "replicas", "simulated", n)
    for key in COSTS:
        yield Result(key, chosen["cost"][key], key.replace("usd", "USD").replace("_", " "), "derived", n)
    if chosen["break_even"] is not None:
        yield Result("break_even_rate_rps", chosen["break_even"]["rate_rps"], "requests/s", "derived", n)
        yield Result("break_even_monthly_total_tok", chosen["break_even"]["monthly_total_tok"], "tok", "derived", n)


def _gpus(data: Inputs) -> Iterator[Result]:
    """By card and count: the load carried inside the SLO, and its cost."""
    for row in data.gpus["rows"] if data.gpus is not None else ():
        if row["cost"] is None or data.gpus is None:
            continue
        name, n = f"{row['gpus']}x_{row['gpu']}", len(data.gpus["seeds"])
        yield Result(f"gpus_rate_rps_{name}", row["rate_rps"], "requests/s", "simulated", n)
        yield Result(f"gpus_usd_per_million_output_tok_{name}", row["cost"]["usd_per_million_output_tok"], "USD",
                     "derived", n)
