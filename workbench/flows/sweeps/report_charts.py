"""The charts of a sweep's report: latency over throughput, what batching gains, cost, memory, power."""

from collections.abc import Sequence
from typing import Any

from workbench.figures.chart import COLOURS, Chart, Panel, Series
from workbench.flows.sweeps.report_cells import Cell, by_setting, metric_of, names, one_model

MOST_SERIES = len(COLOURS)  # of one chart: more colours are not told apart
GIB = 2**30


def of_workload(found: Sequence[Cell], workload: str) -> list[Chart]:
    """Curves, and of a closed loop what more requests in flight gain; as many settings a chart as have colours."""
    shown = []
    for number, group in enumerate(_groups(found)):
        end = f"-{number + 1}" if number else ""
        shown += [chart for chart in (_curves(group, workload, end), _batching(group, workload, end)) if chart]
    return shown


def _groups(found: Sequence[Cell]) -> list[list[Cell]]:
    """Settings a chart can tell apart: an engine's together, no chart with one where two can share evenly."""
    keys = list(by_setting(found))
    parts = -(-len(keys) // MOST_SERIES)
    size = -(-len(keys) // parts) if parts else 0
    return [[cell for cell in found if cell.key in keys[i : i + size]] for i in range(0, len(keys), size or 1)]


def _curves(found: Sequence[Cell], workload: str, end: str) -> Chart | None:
    """Latency over throughput, a line a setting, its loads in order."""
    called = names(found)
    panels = []
    for metric, axis in (("ttft_s", "mean time to first token (ms)"), ("tpot_s", "mean time per output token (ms)")):
        series = [one for i, (key, group) in enumerate(by_setting(found).items())
                  if (one := line(group, called[key], "output_tok_per_s", metric, 1e3, i)) is not None]
        if series:
            panels.append(Panel(axis, tuple(series), log_y=metric == "ttft_s"))
    if not panels:
        return None
    loads = ", ".join(f"{load:g}" for load in sorted({cell.load for cell in found}))
    kind = "requests/s" if found[0].open_loop else "requests in flight"
    return Chart(
        f"curves-{workload}{end}", "output tokens per second", tuple(panels),
        f"Latency over throughput, {_subject(found, workload)}: each mark is one load ({loads} {kind}), joined in order"
        " of load; bars are 95 % intervals where there are repeats.", basis(found),
        f"Lines of latency against throughput for {len(called)} settings under {workload}.",
    )


def _batching(found: Sequence[Cell], workload: str, end: str) -> Chart | None:
    """Throughput over requests in flight, and the same as a multiple of one alone. None for an open loop."""
    closed = [cell for cell in found if not cell.open_loop]
    if len({cell.load for cell in closed}) < 2:
        return None
    called, rates, gains = names(found), [], []
    for i, (key, group) in enumerate(by_setting(closed).items()):
        ordered = sorted(group, key=lambda cell: cell.load)
        known = [(cell.load, rate) for cell in ordered if (rate := cell.mean("output_tok_per_s")) is not None]
        if not known:
            continue
        loads = tuple(load for load, _ in known)
        rates.append(Series(called[key], loads, tuple(rate for _, rate in known), "measured", colour=i))
        if known[0][0] == 1 and known[0][1]:
            gain = tuple(rate / known[0][1] for _, rate in known)
            gains.append(Series(called[key], loads, gain, "measured", colour=i))
    if not rates:
        return None
    panels = [Panel("output tokens per second", tuple(rates), log_y=True)]
    panels += [Panel("times the throughput of one", tuple(gains), level=1.0)] if gains else []
    return Chart(
        f"batching-{workload}{end}", "requests in flight", tuple(panels),
        f"What batching gains, {_subject(found, workload)}: throughput with more requests in flight, and as a multiple"
        " of that with one.", basis(closed), f"Throughput and gain over requests in flight for {len(called)} settings.",
    )


def line(
    found: Sequence[Cell], name: str, x: str, y: str, scale: float, colour: int, kind: Any = "line",
) -> Series | None:
    known = [(a, cell.interval(y)) for cell in found if (a := cell.mean(x)) is not None]
    points = [(a, b) for a, b in known if b is not None]
    if not points:
        return None
    several = any(b.n > 1 for _, b in points)
    low = tuple(max(0.0, b.low) * scale for _, b in points) if several else ()
    high = tuple(b.high * scale for _, b in points) if several else ()
    return Series(name, tuple(a for a, _ in points), tuple(b.mean * scale for _, b in points), "measured", kind, colour,
                  low, high)


def money(found: Sequence[Cell], front: Sequence[int]) -> Chart | None:
    """None where no price was given."""
    series, called = [], names(found)
    for i, (key, group) in enumerate(list(by_setting(found).items())[: MOST_SERIES - 1]):
        points = [(tpot * 1e3, usd) for cell in group if (tpot := cell.mean("tpot_s")) is not None
                  and (usd := cell.mean("usd_per_million_output_tok")) is not None]
        if points:
            xs, ys = zip(*points, strict=True)
            series.append(Series(called[key], xs, ys, "derived", "points", i))
    if not series:
        return None
    best = [((found[i].mean("tpot_s") or 0.0) * 1e3, found[i].mean("usd_per_million_output_tok")) for i in front]
    series.append(Series("Pareto front", tuple(x for x, _ in best), tuple(y for _, y in best), "derived", "steps",
                         MOST_SERIES - 1))
    left_out = max(0, len(called) - MOST_SERIES + 1)
    more = f" {left_out} more settings are in the front's reckoning and not drawn." if left_out else ""
    return Chart(
        "pareto", "mean time per output token (ms)",
        (Panel("USD per million output tokens", tuple(series), log_y=True),),
        "What a million output tokens costs against how fast they come. No setting beats one of the front in both."
        + more, basis(found) + "; money is the given price times the measured window",
        f"{len(front)} points on the front of cost against time per token.",
    )


def memory(found: Sequence[Cell]) -> Chart | None:
    """The most that was seen of each setting, over its points."""
    bars, called = [], names(found)
    for colour, (name, metric) in enumerate((("GPU memory", "gpu_bytes"), ("engine's memory", "engine_bytes"))):
        values = {called[key]: max((size for cell in group for row in cell.rows
                                    if (size := metric_of(row, metric)) is not None), default=None)
                  for key, group in by_setting(found).items()}
        if any(value is not None for value in values.values()):
            ys = tuple(None if value is None else value / GIB for value in values.values())
            bars.append(Series(name, tuple(values), ys, "measured", "bars", colour))
    if not bars:
        return None
    return Chart("memory", "", (Panel("most memory seen (GiB)", tuple(bars)),),
                 "Memory: the highest sample of any point of each setting; a page that the engine's processes share"
                 " counts once, where the system tells.", basis(found), f"Bars of memory for {len(called)} settings.",
                 tuple(dict.fromkeys(called.values())))


def power(found: Sequence[Cell]) -> Chart | None:
    """Only where telemetry vouches for it."""
    panels, called = [], names(found)
    for metric, axis in (("power_mean_w", "mean GPU power (W)"), ("j_per_output_tok", "energy per output token (J)")):
        series = [one for i, (key, group) in enumerate(list(by_setting(found).items())[:MOST_SERIES])
                  if (one := line(group, called[key], "output_tok_per_s", metric, 1.0, i, "points")) is not None]
        panels += [Panel(axis, tuple(series))] if series else []
    if not panels:
        return None
    return Chart("power", "output tokens per second", tuple(panels),
                 "Power and energy of the window, of all GPUs together, where the readings cover it.", basis(found),
                 "Power and energy per token against throughput.")


def _subject(found: Sequence[Cell], workload: str) -> str:
    model = one_model(found)
    return f"workload {workload}" + (f", model {model}" if model else "")


def basis(found: Sequence[Cell]) -> str:
    counts = [len(cell.rows) for cell in found]
    repeats = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else f"{max(counts)}"
    return f"{sum(counts)} runs of the load generator against real engines, {repeats} of each point"
