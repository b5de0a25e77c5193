"""Chapter 4: the same model on every engine that runs on a CPU: speed, batching, start, memory; which one when."""

from collections.abc import Callable, Mapping

from engines.lookup import NAMES
from engines.lookup import find as engine
from workbench.chapters.about import chosen
from workbench.chapters.playing import said
from workbench.errors import Failure
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number
from workbench.flows.engine_choosing import LARGE, MOST, SMALL, Curve, curves
from workbench.flows.sweeps.figures_row import FiguresRow, read
from workbench.paths import datasets
from workbench.report.prose import Prose
from workbench.report.results import Result, Results

Found = Mapping[str, Curve]
WORDS = {LARGE: "135 million random weights", SMALL: "the shipped model, two million parameters"}


def measured(model: str) -> Found:
    """By engine and type of weights. Raises UsageError, or Failure where the figures are not installed."""
    (name,) = chosen("model", model, (LARGE, SMALL))[:1]
    path = datasets() / "measured" / "engines_cpu.csv"
    if not path.is_file():
        raise Failure(f"{path.name}: measured figures are missing from this installation")
    return {key: curve for key, curve in curves(read(path), name).items() if {1, MOST} <= curve.by.keys()}


def _series(curve: Curve, metric: str, colour: int) -> Series:
    rows = [curve.by[load] for load in sorted(curve.by) if getattr(curve.by[load], metric) is not None]
    y, low, high = (tuple(getattr(row, metric + end) for row in rows) for end in ("", "_low", "_high"))
    loads = tuple(float(row.concurrency or 0) for row in rows)
    return Series(curve.name, loads, y, "measured", "line", colour, low, high)


def load_chart(found: Found, model: str) -> Chart:
    return Chart(
        "engines", "requests in flight",
        (Panel("output tokens per second", tuple(_series(curve, "output_tok_per_s", i)
                                                 for i, curve in enumerate(found.values()))),
         Panel("batching gain (output tokens over those of one request)", tuple(
             _series(curve, "batching_gain", i) for i, curve in enumerate(found.values())))),
        f"The same model, {WORDS[model]}, on each engine with one compute thread: what all requests together get, and "
        "how much of it batching brings.", _basis(found),
        "Two panels over the number of requests in flight, a line for each engine and type of weights: tokens per "
        "second, and the gain over one request.")


def cost_chart(found: Found, model: str) -> Chart:
    names = tuple(found)

    def bars(y_axis: str, colour: int, figure: Callable[[Curve], float | None]) -> Panel:
        values = tuple(figure(curve) for curve in found.values())
        series = Series(y_axis.partition(" (")[0], names, values, "measured", "points", colour)
        return Panel(y_axis, (series,), log_y=True)

    return Chart(
        "start_and_memory", "engine and weights",
        (bars("ready after (s)", 4, lambda curve: curve.by[1].load_s),
         bars("most memory (MB)", 2, _memory),
         bars("processor time per token (ms)", 3, lambda curve: _ms(curve.by[MOST].cpu_s_per_output_tok))),
        f"What an engine costs besides time, with {WORDS[model]}: its start, its memory, and processor time with "
        f"{MOST} requests in flight.", _basis(found),
        "Three panels over engines, all logarithmic: seconds until ready, memory, processor time per token.", names)


def _memory(curve: Curve) -> float | None:
    sizes = [row.pss_bytes for row in curve.by.values() if row.pss_bytes]
    return max(sizes) / 1e6 if sizes else None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1e3 * seconds


def _basis(found: Found) -> str:
    rows = [row for curve in found.values() for row in curve.by.values()]
    return (f"n = {min(row.repeats for row in rows)} to {max(row.repeats for row in rows)} repeats of "
            f"{rows[0].requests} requests or more, whiskers are their smallest and largest; closed loop, prompts of "
            f"{rows[0].prompt_tok or 0:.0f} tokens, answers of {rows[0].output_tok or 0:.0f}; in "
            f"{sum(row.disturbed for row in rows)} of {sum(row.repeats for row in rows)} other programs ran beside; "
            f"source: datasets/measured, {rows[0].date}")


def table(found: Found) -> Table:
    rows = tuple((
        curve.engine, curve.kind, _ends(curve.by[1], "ttft_s", 1e3), _ends(curve.by[1], "tpot_s", 1e3),
        _ends(curve.by[1], "output_tok_per_s"), _ends(curve.by[MOST], "output_tok_per_s"),
        _ends(curve.by[MOST], "batching_gain")) for curve in found.values())
    return Table(("engine", "weights", "first token, alone (ms)", "per output token, alone (ms)", "tokens/s, alone",
                  f"tokens/s, {MOST} in flight", "gain"), rows, f"Measured; smallest and largest repeat in brackets. "
                 f"{_basis(found)}.")


def _ends(row: FiguresRow, name: str, scale: float = 1.0) -> str:
    value, low, high = (getattr(row, name + end) for end in ("", "_low", "_high"))
    return "n/a" if value is None else said(value * scale, low * scale, high * scale)


def guide(found: Found) -> Table:
    """Whoever wants this takes that: by the figures above, whatever they are."""
    every = list(found.values())
    alone, crowd = max(every, key=lambda c: c.rate(1)), max(every, key=lambda c: c.rate(MOST))
    starts = [curve for curve in every if curve.by[1].load_s is not None]
    small = [curve for curve in every if _memory(curve) is not None]
    rows = [("one user at a time", alone, f"{number(alone.rate(1))} tokens/s"),
            (f"{MOST} users at once", crowd, f"{number(crowd.rate(MOST))} tokens/s")]
    gain = max(every, key=lambda c: c.gain)
    rows.append(("load that comes and goes in crowds", gain, f"batching gains a factor of {number(gain.gain)}"))
    if starts:
        first = min(starts, key=lambda c: c.by[1].load_s or 0.0)
        rows.append(("restarts, scaling to zero", first, f"ready after {number(first.by[1].load_s)} s"))
    if small:
        least = min(small, key=lambda c: _memory(c) or 0.0)
        rows.append(("little memory", least, f"{number(_memory(least))} MB"))
    return Table(("for", "take", "because"), tuple((what, curve.name, why) for what, curve, why in rows),
                 "Measured: the best of the table above in each respect, on this kind of machine with this model.")


def here() -> Table:
    """Every engine that the workbench knows: installed now or not, where it runs, what it reads."""
    records = [engine(name) for name in NAMES if name not in ("fake", "openai")]
    rows = tuple((record.name, record.version() or "not here", ", ".join(record.formats) or "by address")
                 for record in records)
    return Table(("engine", "version here", "reads"), rows,
                 f"Measured: looked up as this page was made. n = {len(rows)} engines.")


def numbers(found: Found) -> Results:
    return Results(tuple(
        Result(f"{metric}_{curve.name.replace(' ', '_')}_{load}", getattr(row, metric), unit, "measured",
               row.repeats, getattr(row, f"{metric}_low"), getattr(row, f"{metric}_high"))
        for curve in found.values() for load, row in curve.by.items() if load in (1, MOST)
        for metric, unit in (("output_tok_per_s", "tokens/s"), ("batching_gain", ""))))


def answer(found: Found) -> Prose:
    every = list(found.values())
    alone, crowd = max(every, key=lambda c: c.rate(1)), max(every, key=lambda c: c.rate(MOST))
    least, most = min(every, key=lambda c: c.gain), max(every, key=lambda c: c.gain)
    return Prose(
        f"Alone **{alone.name}** makes most, {_ends(alone.by[1], 'output_tok_per_s')} tokens/s; with {MOST} requests "
        f"in flight **{crowd.name}** does, {_ends(crowd.by[MOST], 'output_tok_per_s')}; and batching gains a factor of "
        f"{_ends(least.by[MOST], 'batching_gain')} in {least.name} and {_ends(most.by[MOST], 'batching_gain')} in "
        f"{most.name}: never let one engine's curve stand for another's.")
