"""How many replicas each candidate needs: found by simulation, beside what division would have said."""

from typing import Any

from workbench.chapters.capacity.inputs import Inputs, missing
from workbench.figures import escape
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number
from workbench.metrics import METRICS
from workbench.report.prose import Prose

COMMAND = "workbench plan PLAN.toml"


def candidate_table(data: Inputs) -> Table | Prose:
    if data.plan is None:
        return missing("plan.json", COMMAND)
    rows = tuple(_row(item) for item in data.plan["candidates"])
    columns = ("candidate", "replicas", "load / peak says", "inside the SLO", "interval", "p95 TTFT (s)",
               "p95 TPOT (s)", "one replica carries (requests/s)", "its peak (requests/s)")
    n = len(data.plan["load"]["seeds"])
    return Table(columns, rows, "Fewest replicas whose simulated attainment, with its whole 95 % interval, keeps the "
                 f"target; n = {n} seeds. "
                 "Division uses the peak of one replica with everything waiting, and promises nothing of latency.")


def rejected(data: Inputs) -> Prose:
    """Why candidates were left out, and which were simulated beyond what was measured."""
    if data.plan is None:
        return Prose("")
    lines = [f"- **{escape.markdown(item['name'])}** was left out: {escape.markdown(item['why_not'])}."
             for item in data.plan["candidates"] if item["why_not"]]
    lines += [_beyond(item) for item in data.plan["candidates"] if _asked_outside(item).get("outside")]
    return Prose("\n".join(lines) or "Every candidate can carry the load.")


def _asked_outside(item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (item["at_load"] or {}).get("outside_range", {})
    return found


def _beyond(item: dict[str, Any]) -> str:
    share = _asked_outside(item)["outside_frac"]
    name = escape.markdown(item["name"])
    return f"- **{name}**: {share:.1%} of the simulated iterations lie outside what its profile measured."


def capacity_chart(data: Inputs) -> Chart | Prose:
    """Attainment and p95 of the binding latency against replicas."""
    if data.plan is None:
        return missing("plan.json", COMMAND)
    plan = data.plan
    tried = [(i, item) for i, item in enumerate(plan["candidates"]) if item["trials"]]
    if not tried:
        return Prose("No candidate can keep the SLO even alone, so there is nothing to draw.")
    target = plan["slo"]["attainment_frac"]
    limit = next(name for name in ("ttft_s", "e2e_s", "tpot_s") if name in plan["slo"])
    attainment = Panel(METRICS["slo_attainment_frac"].axis, tuple(_attainment(item, i) for i, item in tried), target,
                       f"target {target:.0%}")
    latency = Panel(f"p95 of {METRICS[limit].axis}", tuple(_p95(item, i, limit) for i, item in tried),
                    plan["slo"][limit], "SLO")
    return Chart(
        "capacity", "replicas", (attainment, latency),
        f"SLO attainment and 95th percentile at {plan['load']['rate_rps']:.3g} requests/s, by number of replicas; "
        "whiskers are 95 % intervals, left out where the fleet cannot keep up. Only what the search tried is drawn.",
        f"n = {len(plan['load']['seeds'])} seeds of {plan['load']['requests'][0]} requests (2 seeds where the fleet "
        "cannot keep up)",
        "Two panels over the number of replicas: SLO attainment rising to the target line, and the 95th percentile of "
        "latency falling, one line a candidate.",
    )


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    divided, knee, at_load = item["divided"], item["knee"], item["at_load"]
    tail = (number(knee["rate_rps"]) if knee else "n/a", number(divided["peak_rps"]))
    head = (str(item["name"]), str(item["replicas"] or "none"), str(divided["replicas"] or "n/a"))
    if at_load is None:
        return (*head, "n/a", "n/a", "n/a", "n/a", *tail)
    held, p95 = at_load["attainment_frac"], at_load["p95"]
    return (*head, f"{held['mean']:.1%}", f"{held['low']:.1%} to {held['high']:.1%}", number(p95["ttft_s"]),
            number(p95["tpot_s"], 4), *tail)


def _replicas(item: dict[str, Any]) -> tuple[float, ...]:
    return tuple(float(trial["replicas"]) for trial in item["trials"])


def _attainment(item: dict[str, Any], colour: int) -> Series:
    """No whiskers where the fleet cannot keep up: there the interval of two seeds says nothing."""
    trials = [(trial["attainment_frac"], trial["saturated"]) for trial in item["trials"]]
    mean = tuple(held["mean"] for held, _ in trials)
    low, high = (tuple(None if full else held[end] for held, full in trials) for end in ("low", "high"))
    return Series(str(item["name"]), _replicas(item), mean, "simulated", "line", colour, low, high)


def _p95(item: dict[str, Any], colour: int, name: str) -> Series:
    found = tuple(trial["p95"][name] for trial in item["trials"])
    return Series(str(item["name"]), _replicas(item), found, "simulated", "line", colour)
