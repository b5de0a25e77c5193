"""What one, two, four and eight GPUs would serve inside one SLO, and what that costs: shipped silicon profiles,
simulated. Every way to use the GPUs is tried: split one model over all of them, or run several copies."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sims.scenario import rules_for
from workbench.config import validate
from workbench.economics.search import highest
from workbench.economics.unit_cost import Load, unit_cost
from workbench.flows.trial import Bench, Schedules, Trial, load_of
from workbench.hardware.prices import find, machines
from workbench.metrics import Slo
from workbench.paths import datasets
from workbench.profile import profile as profiles
from workbench.profile.profile import Profile
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec

KIND, SCHEMA = "workbench.gpus", 1
COUNTS = (1, 2, 4, 8)
MODEL, QUANT = "Qwen/Qwen3-32B", "fp8"
SLO = Slo(ttft_s=3.0, tpot_s=0.1)
TARGET_FRAC = 0.95
SEEDS = (1, 2, 3)
WORKLOAD = {  # a chat service: mean lengths of the Azure LLM inference trace 2023, conversation
    "requests": 1200, "warmup_requests": 200, "arrivals": {"kind": "poisson", "rate_per_s": 1.0},
    "prompt_tok": {"kind": "lognormal", "mean_tok": 1020, "sigma": 1.1, "max_tok": 8000},
    "output_tok": {"kind": "lognormal", "mean_tok": 210, "sigma": 0.8, "max_tok": 1000},
}


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU, how its fellows are linked, and the rented machine of each count (or the row of one, multiplied)."""

    gpu: str
    link: str
    machine_by_count: Mapping[int, str]

    def usd_per_hour(self, count: int) -> tuple[float, str]:
        """(price, which row it comes from)."""
        table = machines()
        if count in self.machine_by_count:
            row = find(table, self.machine_by_count[count], "machine")
            return row.usd_per_hour, row.name
        row = find(table, self.machine_by_count[1], "machine")
        return row.usd_per_hour * count, f"{count} x {row.name}"


CARDS = (
    Card("h100_sxm", "NVLink", {n: f"lambda-{n}x-h100-sxm" for n in COUNTS}),
    Card("l40s", "PCIe", {1: "vast-1x-l40s"}),
)


def gpus(cards: Sequence[Card] = CARDS, on_profile: Callable[[int], None] | None = None) -> dict[str, Any]:
    """All cards and counts; shape of `gpus.json`. `on_profile` is told how many profiles are done."""
    schedules = tuple(draw(validate(WorkloadSpec, WORKLOAD, "gpus"), seed) for seed in SEEDS)
    load, done = load_of(schedules), 0
    rows, splits = [], []
    for card in cards:
        known = {tp: profile for tp, profile in shipped(card.gpu).items() if tp in COUNTS}
        best: dict[int, Trial | None] = {}
        for tp, profile in known.items():
            best[tp] = _most(profile, schedules)
            splits.append(_split(card, tp, profile, best[tp]))
            done += 1
            if on_profile is not None:
                on_profile(done)
        rows += [_row(card, count, best, load) for count in COUNTS]
    return {
        "kind": KIND, "schema": SCHEMA, "origin": "simulated", "basis": "silicon", "model": MODEL, "quant": QUANT,
        "made_on": f"{datetime.now(UTC).date()}", "slo": {"ttft_s": SLO.ttft_s, "tpot_s": SLO.tpot_s,
        "attainment_frac": TARGET_FRAC}, "load": asdict(load), "seeds": list(SEEDS),
        "requests": len(schedules[0]), "splits": splits, "rows": rows,
    }


def shipped(gpu: str, model: str = MODEL, quant: str = QUANT) -> dict[int, Profile]:
    """Shipped silicon profiles of one GPU, model and quantisation by tensor-parallel degree."""
    found = {}
    for path in sorted((datasets() / "profiles" / "silicon").glob("*.json")):
        if f"-{quant}" not in path.name or gpu.partition("_")[0] not in path.name:
            continue
        profile = profiles.read(path)
        if (profile.subject.model, profile.subject.quant, profile.subject.gpu) == (model, quant, gpu):
            found[profile.parallel.tp] = profile
    return dict(sorted(found.items()))


def count_profiles(cards: Sequence[Card] = CARDS) -> int:
    return sum(len(shipped(card.gpu)) for card in cards)


def _most(profile: Profile, schedules: Schedules) -> Trial | None:
    """The highest rate at which one replica keeps the SLO."""
    bench = Bench(profile, rules_for(profile, {}), tuple(map(tuple, schedules)), SLO, TARGET_FRAC)
    if bench.alone() < TARGET_FRAC:
        return None
    tried: dict[float, Trial] = {}

    def meets(rate_rps: float) -> bool:
        tried[rate_rps] = bench.trial(1, rate_rps)
        return tried[rate_rps].met

    found = highest(meets, bench.peak_rps) if bench.peak_rps else None
    return None if found is None else tried[found]


def _split(card: Card, tp: int, profile: Profile, most: Trial | None) -> dict[str, Any]:
    return {
        "gpu": card.gpu, "link": card.link, "tp": tp, "kv_blocks": profile.kv_blocks, "profile_sha256": profile.sha256,
        "thin": list(profile.thin), "carries": None if most is None else most.as_dict(),
    }


def _row(card: Card, count: int, best: Mapping[int, Trial | None], load: Load) -> dict[str, Any]:
    """The best use of so many GPUs: copies share the load evenly, each carries what one was found to carry."""
    ways = [(trial.rate_rps * (count // tp), -tp) for tp, trial in best.items() if trial is not None and tp <= count]
    price, machine = card.usd_per_hour(count)
    row: dict[str, Any] = {"gpu": card.gpu, "link": card.link, "gpus": count, "usd_per_hour": price, "machine": machine,
                           "tp": None, "copies": None, "rate_rps": None, "cost": None}
    if ways:
        rate_rps, tp = max(ways)
        served = Load(rate_rps, load.prompt_tok_mean, load.output_tok_mean)
        row |= {"tp": -tp, "copies": count // -tp, "rate_rps": rate_rps, "cost": asdict(unit_cost(price, served))}
    return row


def oldest_price(cards: Sequence[Card] = CARDS) -> date:
    """The date of the oldest price used."""
    table = machines()
    return min(find(table, name, "machine").as_of for card in cards for name in card.machine_by_count.values())


def write(folder: Path, on_profile: Callable[[int], None] | None = None) -> dict[str, Any]:
    """`gpus.json` in `folder`."""
    from workbench.files import write_json

    found = gpus(on_profile=on_profile)
    write_json(folder / "gpus.json", found)
    return found
