"""Chapter 3: one model in each format: size, distance, answers, speed, start; conversion; what a name says."""

import contextlib
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.launch import launch
from engines.lookup import find as engine
from engines.lookup import require
from workbench.chapters.about import chosen, within
from workbench.chapters.playing import said
from workbench.errors import Failure, UsageError
from workbench.figures import escape
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number, percent
from workbench.flows.convert import convert_model, wanted
from workbench.flows.inspect import inspect
from workbench.hardware import licences, models
from workbench.hardware.formats import FORMATS
from workbench.models.shipped import SHIPPED, find
from workbench.paths import datasets
from workbench.quality import published
from workbench.quality.table import QualityRow, read
from workbench.report.prose import Prose
from workbench.report.results import Result, Results
from workbench.stats.intervals import Interval, t_interval

TASK = "tiny_code"
GROWN = "tiny-27m"
MADE_HERE = ("F16", "Q8_0", "Q5_0", "Q4_0")  # what needs no other program
SIZE = re.compile(r"(?<![\w.])(\d+x)?(\d+(?:\.\d+)?)B(?:-A(\d+(?:\.\d+)?)B)?(?![\w])")
TUNED = re.compile(r"(?i)(?<![a-z])(instruct|chat|it|thinking|coder)(?![a-z])")


def kept() -> tuple[QualityRow, ...]:
    """Of the shipped table: the formats on llama.cpp with 16-bit keys and values, largest first."""
    rows = read(datasets() / "quality" / "tiny_world.csv")
    return tuple(row for row in rows if row.words["engine"] == "llama.cpp" and row.words["kv_type"] == "f16")


def format_chart(rows: Sequence[QualityRow]) -> Chart:
    names = tuple(row.words["quant"] for row in rows)
    lost = [row.figures.get("kl_mean") if row.words["quant"] != "F16" else None for row in rows]
    sizes = tuple(row.values["bytes"] / 1e6 for row in rows)
    right, speed = [row.tasks[TASK].share for row in rows], [row.figures.get("tok_per_s") for row in rows]
    panels = (
        Panel("size (MB)", (Series("file", names, sizes, "measured", "points", 2),)),
        Panel("mean KL divergence to F16 (nats)", (_points("distance", names, lost, 1),), log_y=True),
        Panel("share of functions right", (_points("code", names, right, 3),)))
    timed = (Panel("tokens per second of one request", (_points("speed", names, speed, 0),)),) if any(speed) else ()
    return Chart(
        "formats", "format", (*panels, *timed),
        "The shipped model in each format: how large, how far from the unquantised, and what it still answers"
        f"{'; its speed when grown to 27 million parameters' if timed else ''}.",
        f"n = {right[0].n} functions, whiskers are 95 % intervals; source: datasets/quality/tiny_world.csv, llama.cpp",
        "Panels over formats from largest to smallest: size, distance on a logarithmic axis, share of functions right.",
        names)


def _points(label: str, names: tuple[str, ...], found: Sequence[Interval | None], colour: int) -> Series:
    means = tuple(None if item is None else item.mean for item in found)
    return Series(label, names, means, "measured", "points", colour,
                  tuple(None if item is None else max(item.low, 1e-9) for item in found),
                  tuple(None if item is None else item.high for item in found))


def published_chart() -> Chart:
    """What llama.cpp's own pages say of an 8B, without importance matrices."""
    lost = {item.quant: item for item in published.distances() if not item.imatrix}
    rows = [item for item in published.speeds() if item.quant in lost]
    names = tuple(item.quant for item in rows)
    errors = [1.96 * lost[name].kl_mean_err for name in names]
    kl = tuple(lost[name].kl_mean for name in names)
    return Chart(
        "published", "format",
        (Panel("size (GiB)", (Series("file", names, tuple(item.size_gib for item in rows), "imported", "points", 2),)),
         Panel("mean KL divergence to F16 (nats)", (Series(
             "distance", names, kl, "imported", "points", 1, tuple(a - b for a, b in zip(kl, errors, strict=True)),
             tuple(a + b for a, b in zip(kl, errors, strict=True))),), log_y=True),
         Panel("tokens per second of one request", (Series("speed", names, tuple(
             item.decode_tok_per_s for item in rows), "imported", "points", 0),))),
        "The same of Llama 3.1 8B (distance: of Llama 3 8B), as others published it.",
        f"n = {len(rows)} formats; source: ggml-org/llama.cpp, MIT; whiskers are 1.96 of its standard errors",
        "Three panels over formats of an 8B: size, divergence on a logarithmic axis, speed of one sequence.", names)


@dataclass(frozen=True)
class Started:
    """Seconds until a fresh engine answers, by format; empty where none was started, and why."""

    by: dict[str, tuple[int, Interval]]  # format -> (bytes, seconds)
    why: str = ""


def starts(formats: str, repeats: int, quick: bool) -> Started:
    """The model of 27 million parameters. Raises UsageError."""
    names = chosen("formats", formats, MADE_HERE)
    within("repeats", repeats, 2, 20)
    if quick:
        return Started({}, "`quick` starts no engine")
    try:
        require(engine("llama.cpp"))
        return Started({name: _start(name, repeats) for name in names})
    except Failure as missing:
        return Started({}, escape.markdown(str(missing)))


def _start(quant: str, repeats: int) -> tuple[int, Interval]:
    model = find(GROWN, quant)
    seconds = []
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        for _ in range(repeats):
            with launch("llama.cpp", model, {"slots": 1, "threads": 1}, log_dir=Path(folder)) as running:
                seconds.append(running.started_s or 0.0)
    return model.bytes, t_interval(np.array(seconds))


def start_table(found: Started) -> Table | Prose:
    if not found.by:
        return Prose(f"No start was timed: {found.why}.")
    rows = tuple((name, f"{size / 1e6:.1f}", said(item.mean, max(item.low, 0.0), item.high), str(item.n))
                 for name, (size, item) in found.by.items())
    return Table(("format", "file (MB)", "until it answers (s)", "starts"), rows,
                 "Measured: a fresh process each time, the file in the page cache; 95 % intervals.")


def containers() -> Table:
    """The shipped folder, as GGUF and back again, made now; and what each header says."""
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        gguf, back = Path(folder) / "tiny.gguf", Path(folder) / "back"
        there = convert_model(SHIPPED, wanted("gguf"), gguf)
        made = (None, there, convert_model(str(gguf), wanted("safetensors"), back))
        where = (SHIPPED, str(gguf), str(back))
        rows = tuple(_container(step, inspect(path), told) for step, path, told in
                     zip(("as it ships", "converted", "and back"), where, made, strict=True))
    return Table(("step", "container", "parameters", "bits per weight", "size (MB)", "licence", "weights as they were"),
                 rows, "Measured: converted as this page was made, headers read by workbench models inspect. n = 2 "
                 "conversions. The licence stood in the card, which no conversion carries along.")


def _container(step: str, seen: dict[str, Any], made: dict[str, Any] | None) -> tuple[str, ...]:
    same = "-" if made is None else "every one" if made.get("exact", True) else "rounded"
    return (step, seen["form"], f"{seen['params']:,}", f"{seen['bits_per_weight']:.2f}",
            f"{seen['weight_bytes'] / 1e6:.2f}", seen["licence"], same)


@dataclass(frozen=True)
class Name:
    """What a model's name says; None and empty where it says nothing."""

    total_b: float | None  # 10^9 parameters, all in memory
    active_b: float | None  # computed per token
    tuned: str
    quant: str

    @property
    def weight_gb(self) -> float | None:
        bits = FORMATS[self.quant.lower()].bits if self.quant else 16.0
        return None if self.total_b is None else self.total_b * bits / 8


def read_name(name: str) -> Name:
    """`8x7B` counts what experts share more than once: the upper end."""
    plain = name.rsplit("/", 1)[-1].removesuffix(".gguf")
    size, tuned = SIZE.search(plain), TUNED.search(plain)
    quant = next((item for item in sorted(FORMATS, key=len, reverse=True)
                  if re.search(rf"(?i)(?<![a-z0-9]){item}(?![a-z0-9_])", plain)), "")
    total = float(size[2]) * float((size[1] or "1x")[:-1]) if size else None
    active = float(size[3]) if size and size[3] else None if size and size[1] else total
    return Name(total, active, tuned[1] if tuned else "", FORMATS[quant].name if quant else "")


def name_table(names: str) -> Table:
    """Raises UsageError where no name is given."""
    given = [item.strip() for item in names.split(",") if item.strip()]
    if not given:
        raise UsageError("names: give one or several, with commas between")
    columns = ("name", "parameters (10^9)", "per token", "trained to", "format", "weights by it (GB)", "in fact (10^9)",
               "licence")
    return Table(columns, tuple(_named(item) for item in given),
                 "Derived from the name alone; the last two columns are from datasets/models, where the "
                 "model is known: facts with a source, no legal advice.")


def _named(name: str) -> tuple[str, ...]:
    said_, known = read_name(name), "not in the table"
    bare = re.sub(rf"(?i)[-_.]{said_.quant}$", "", name.removesuffix(".gguf")) if said_.quant else name
    terms = licences.find(bare)
    with contextlib.suppress(UsageError):
        known = number(models.find(bare).params / 1e9)
    return (name, number(said_.total_b), number(said_.active_b), "answer" if said_.tuned else "not said",
            said_.quant or "not said: 16 bits", number(said_.weight_gb), known, terms.label if terms else "not known")


def numbers(rows: Sequence[QualityRow], started: Started) -> Results:
    found = [Result(f"{name}_{row.words['quant']}", item.mean, unit, "measured", item.n, item.low, item.high)
             for row in rows for name, unit, item in (("kl_mean", "nats", row.figures.get("kl_mean")),
                                                      ("code_right", "", row.tasks[TASK].share)) if item is not None]
    return Results((*found, *(Result(f"start_s_{name}", item.mean, "s", "measured", item.n, item.low, item.high)
                              for name, (_, item) in started.by.items())))


def answer(rows: Sequence[QualityRow]) -> Prose:
    """The smallest file that keeps at least 95 % of the score, by the low end of its interval."""
    score = {row.words["quant"]: row.tasks[TASK] for row in rows}
    good = [row for row in rows
            if row.words["quant"] == "F16" or (score[row.words["quant"]].retained_low or 0.0) >= 0.95]
    least, whole = min(good, key=lambda row: row.values["bytes"]), rows[0]
    share = least.tasks[TASK].share
    smaller = number(whole.values["bytes"] / least.values["bytes"], 2)
    return Prose(
        f"Of {len(rows)} formats **{least.words['quant']}** is the smallest that surely keeps nineteen in twenty of "
        f"the functions that F16 writes: {percent(share.mean)} right ({percent(share.low)} to {percent(share.high)}, "
        f"n = {share.n}) at {smaller} times fewer bytes. Measure your own: this is one model and one task.")
