"""What ran here, and how the simulation of runs it never saw compares with them."""

from workbench.chapters.capacity.inputs import Inputs, called, missing
from workbench.figures import escape
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, percent
from workbench.metrics import METRICS
from workbench.report.prose import Prose

SHOWN = ("ttft_s", "tpot_s", "e2e_s")
STATS = ("mean", "p50", "p95")
COMMAND = "workbench demo"


def machine_table(data: Inputs) -> Table | Prose:
    """The machine and the runs behind each profile."""
    if not data.profiles:
        return missing("a profile", COMMAND)
    rows = []
    for profile in data.profiles:
        machine = profile.provenance.get("machine") or {}
        runs = profile.provenance.get("runs") or []
        subject = profile.subject
        rows.append((
            called(subject.model_dump()), f"{subject.engine} {subject.engine_version}".strip(), subject.model,
            subject.hardware or "not said", str(machine.get("os", "not said")),
            str(len(runs) or "not said"), str(sum(run.get("requests", 0) for run in runs) or "not said"),
        ))
    columns = ("profile", "engine", "model", "machine", "system", "calibration runs", "requests in them")
    sources = ", ".join(dict.fromkeys(profile.source for profile in data.profiles))
    return Table(columns, tuple(rows), f"What the profiles come from. Source: {sources}.")


def validation_table(data: Inputs) -> Table | Prose:
    """Measured, simulated, error, and the half-range of the repeats beside which the error is to be read."""
    if not data.validations:
        return missing("validation.json", COMMAND)
    rows = []
    for item in data.validations:
        for name in SHOWN:
            for stat in STATS:
                cell = item["metrics"][name][stat]
                rows.append((
                    called(item["subject"]), METRICS[name].label, stat, _ms(cell["measured"]), _ms(cell["simulated"]),
                    _signed(cell["rel_error_frac"]), percent(cell["half_range_frac"]),
                    str(item["metrics"][name]["n"]["measured"]), str(item["repeats"]),
                ))
    columns = ("quantisation", "metric", "statistic", "measured (ms)", "simulated (ms)", "error", "repeats differ by ±",
               "requests", "repeats")
    return Table(columns, tuple(rows), "Held-out runs: measured, and simulated from the same send times. "
                 "A statistic is averaged over the repeats; n/a: too few requests for it.")


def verdicts(data: Inputs) -> Prose:
    """The verdict of each validated workload, in the words of the validation."""
    lines = [
        f"- **{escape.markdown(called(item['subject']))}**, {item['busy_frac']:.0%} busy: "
        f"{escape.markdown(item['verdict'])}." for item in data.validations
    ]
    return Prose("\n".join(lines))


def validation_chart(data: Inputs) -> Chart | Prose:
    """A panel a metric: points for measured and simulated, whiskers for the spread of the repeats."""
    if not data.validations:
        return missing("validation.json", COMMAND)
    categories = tuple(f"{called(item['subject'])} {stat}" for item in data.validations for stat in ("mean", "p95"))
    panels = tuple(_panel(data, name, categories) for name in SHOWN)
    n = sum(sum(item["requests"]) for item in data.validations)
    return Chart(
        "validation", "quantisation and statistic", panels,
        "Measured and simulated latency of held-out runs; whiskers are the half-range of the measured repeats.",
        f"n = {n} requests in {sum(item['repeats'] for item in data.validations)} runs",
        "Three panels, time to first token, time per output token and end-to-end latency: a measured and a simulated "
        "point for the mean and the 95th percentile of each quantisation.", categories,
    )


def _panel(data: Inputs, name: str, categories: tuple[str, ...]) -> Panel:
    cells = [item["metrics"][name][stat] for item in data.validations for stat in ("mean", "p95")]
    measured = tuple(cell["measured"] for cell in cells)
    half = [(cell["half_range_frac"] or 0.0) * (cell["measured"] or 0.0) for cell in cells]
    low = tuple(None if y is None else y - h for y, h in zip(measured, half, strict=True))
    high = tuple(None if y is None else y + h for y, h in zip(measured, half, strict=True))
    simulated = tuple(cell["simulated"] for cell in cells)
    return Panel(METRICS[name].axis, (
        Series("measured", categories, measured, "measured", "points", 0, low, high),
        Series("simulated", categories, simulated, "simulated", "points", 1),
    ))


def _ms(value: float | None) -> str:
    return "n/a" if value is None else f"{value * 1e3:,.1f}"


def _signed(value: float | None) -> str:
    return "n/a" if value is None else f"{value:+.1%}"

