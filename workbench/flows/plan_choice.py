"""From simulated candidates to a choice: the cheapest that does, why the others do not, and a sentence that says it."""

import math
from typing import Any

from workbench.economics.plan_spec import CandidateSpec, PlanSpec
from workbench.economics.unit_cost import Load
from workbench.flows.reasons import Option, better
from workbench.hardware.prices import ApiPrice, MachinePrice


def options(made: dict[str, Any], machine: MachinePrice, item: CandidateSpec) -> list[Option]:
    """Every fleet of a candidate that was tried and keeps up with the load."""
    return [
        Option(item.name, trial["replicas"],
               math.ceil(trial["replicas"] / item.replicas_per_machine) * machine.usd_per_hour,
               trial["attainment_frac"]["mean"], made["quality"], trial["met"] and made["quality_met"])
        for trial in made["trials"] if not trial["saturated"]
    ]


def reject(found: list[dict[str, Any]], options: list[list[Option]], chosen: dict[str, Any] | None) -> None:
    """Why each candidate that would do is not the choice."""
    if chosen is None:
        return
    every = [one for many in options for one in many]
    for item, many in zip(found, options, strict=True):
        if item["rejected"] is not None or item["name"] == chosen["name"]:
            continue
        mine = next(one for one in many if one.replicas == item["replicas"])
        item["rejected"] = dearer(mine, better(mine, every), chosen)


def dearer(mine: Option, winner: Option | None, chosen: dict[str, Any]) -> str:
    """By how much, than what; and what speaks for it all the same."""
    if winner is not None and winner.usd_per_hour == mine.usd_per_hour:
        return f"{winner.name} with {winner.replicas} costs the same and is better in attainment or quality"
    if winner is not None:
        return (f"cost binds: {winner.name} with {winner.replicas} takes {mine.usd_per_hour - winner.usd_per_hour:.3g} "
                "USD/h less and is no worse")
    more = mine.usd_per_hour - chosen["cost"]["usd_per_hour"]
    return f"cost binds: {more:.3g} USD/h above the choice; better in attainment or quality, so on the Pareto front"


def choose(found: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The cheapest that meets SLO and quality; of two equally dear ones that with fewer replicas, then the first."""
    able = [item for item in found if item["met"] and item["quality_met"]]
    if not able:
        return None
    best = min(able, key=lambda item: (item["cost"]["usd_per_hour"], item["replicas"]))
    return {"name": best["name"], "replicas": best["replicas"], "machines": best["machines"], "cost": best["cost"],
            "break_even": best["break_even"]}


def caveat(found: list[dict[str, Any]], api: ApiPrice | None) -> str | None:
    """What the comparison with the API leaves out, where another model is served there."""
    served = sorted({item["subject"]["model"] for item in found if item["subject"]["model"]})
    if api is None or api.model in served:
        return None
    return (f"the API serves {api.model or 'a model that is not named'}, the candidates "
            f"{', '.join(served) or 'one that is not named'}: prices of tokens are compared, not of equal answers")


def answer(chosen: dict[str, Any] | None, found: list[dict[str, Any]], load: Load, spec: PlanSpec) -> str:
    asked = f"{load.rate_rps:.3g} requests/s with {spec.slo.attainment_frac:.0%} inside the SLO"
    if chosen is None:
        return f"None of the {len(found)} candidates carries {asked} (simulated): {nearest(found)}."
    cost = chosen["cost"]
    text = (f"{chosen['replicas']} replica{'s' if chosen['replicas'] > 1 else ''} of {chosen['name']} carry {asked}: "
            f"{cost['usd_per_hour']:.3g} USD/h, {cost['usd_per_million_output_tok']:.3g} USD per million output tokens "
            "(simulated)")
    if chosen["break_even"] is not None:
        more = "more" if chosen["break_even"]["self_hosting_is_cheaper"] else "not more"
        text += f"; the API would charge {chosen['break_even']['api_usd_per_hour']:.3g} USD/h, {more}"
    return text + "."


def nearest(found: list[dict[str, Any]]) -> str:
    """The candidate that misses by least, and what binds there."""
    def held(item: dict[str, Any]) -> float:
        tried = [trial["attainment_frac"]["mean"] for trial in item["trials"]]
        return float(max(tried, default=item["alone_frac"]))

    best = max(found, key=lambda item: (item["met"], held(item)))
    return f"nearest is {best['name']}: {best['rejected']}"
