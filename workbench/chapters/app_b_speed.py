"""How fast models are where somebody timed them: kernels on data-centre cards, engines on a processor."""

import re

from workbench.chapters.playing import said
from workbench.errors import Failure
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table
from workbench.flows.engine_choosing import LARGE, MOST, SMALL, curves
from workbench.flows.sweeps.figures_row import read as read_figures
from workbench.hardware import models
from workbench.paths import datasets
from workbench.profile.batch import Batch
from workbench.profile.locate import shipped
from workbench.profile.profile import Profile, read

CARDS = {"l40s": "L40S", "h100_sxm": "H100", "h200_sxm": "H200", "b200_sxm": "B200"}  # of the shipped profiles
SPEED_QUANT, CONTEXT_TOK, TOGETHER = "fp8", 1024, 64


def profiles() -> dict[str, dict[str, Profile]]:
    """Model -> card -> the shipped profile on the fewest GPUs, in one format."""
    found: dict[str, dict[str, Profile]] = {}
    for name, path in shipped().items():
        if f"-{SPEED_QUANT}" in name and path.parent.name == "silicon":
            one = read(path)
            mine = found.setdefault(one.subject.model.rpartition("/")[2].removeprefix("Meta-"), {})
            before = mine.get(one.subject.gpu)
            if one.subject.gpu in CARDS and (before is None or one.subject.gpus < before.subject.gpus):
                mine[one.subject.gpu] = one
    return dict(sorted(found.items(), key=lambda item: models.find(item[0]).params))


def speed_of(profile: Profile, decodes: int) -> float:
    """Tokens per second of all decodes together."""
    batch = Batch((), decodes, decodes * CONTEXT_TOK, CONTEXT_TOK, CONTEXT_TOK)
    return decodes * 1e9 / profile.iteration_ns(batch)


def speed_chart(found: dict[str, dict[str, Profile]]) -> Chart:
    names = tuple(_size(name) for name in found)  # whole names would be turned
    alone, each = [], []
    for i, (gpu, label) in enumerate(CARDS.items()):
        mine = [cards.get(gpu) for cards in found.values()]
        alone.append(Series(label, names, tuple(speed_of(one, 1) if one else None for one in mine), "imported", "bars",
                            i))
        each.append(Series(label, names, tuple(speed_of(one, TOGETHER) / one.subject.gpus if one else None
                                               for one in mine), "imported", "bars", i))
    return Chart(
        "speed", "parameters", (Panel("tokens per second of one request", tuple(alone), log_y=True),
                           Panel(f"tokens per second and GPU, {TOGETHER} requests", tuple(each), log_y=True)),
        f"{', '.join(found)}: shipped profiles in {SPEED_QUANT} on the fewest GPUs that hold the model; kernels added "
        "up, without the engine's own time.",
        f"n = {sum(map(len, found.values()))} profiles at {CONTEXT_TOK:,} tokens of context; source: NVIDIA's kernel "
        "database", "Two panels of bars for each model and card: tokens per second of one request, and for each GPU "
        "with many requests; large mixtures are nearer to small models than their size says.", names)


def _size(name: str) -> str:
    """What a name says of it: `480B-A35B`."""
    found = re.search(r"\d+B(-A\d+B)?", name)
    return found[0] if found else name


def cpu_table() -> Table:
    """The models that were really run here. Raises Failure where the figures are not installed."""
    path = datasets() / "measured" / "engines_cpu.csv"
    if not path.is_file():
        raise Failure(f"{path.name}: measured figures are missing from this installation")
    every, rows = read_figures(path), []
    for model in (SMALL, LARGE):
        for curve in curves(every, model).values():
            loads = [curve.by[load] for load in (1, MOST)]
            rows.append((model, curve.name, *(said(row.output_tok_per_s or 0.0, row.output_tok_per_s_low,
                                                   row.output_tok_per_s_high) for row in loads)))
    return Table(("model", "engine and weights", "tok/s, alone", f"tok/s, {MOST} at once"), tuple(rows),
                 f"Measured: datasets/measured, one compute thread of {every[0].machine}, {every[0].date}; in brackets "
                 f"the worst and the best of n = {min(row.repeats for row in every)} or more repeats.")
