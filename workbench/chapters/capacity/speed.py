"""The fitted profiles: what they say of speed, and how well they explain what they were fitted on."""

from workbench.chapters.capacity.inputs import Inputs, called, missing
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, percent
from workbench.profile.batch import Batch
from workbench.profile.profile import Profile
from workbench.report.prose import Prose

CONCURRENT = (1, 2, 4, 8)
CONTEXT_TOK = 128  # context of each decode, for the rows below
PREFILL_TOK = 256


def profile_table(data: Inputs) -> Table | Prose:
    """Time per step at several concurrencies, and prefill speed."""
    if not data.profiles:
        return missing("a profile", "workbench profile fit")
    rows = tuple(
        (called(profile.subject.model_dump()), *(f"{_step_ms(profile, n):.2f}" for n in CONCURRENT),
         f"{PREFILL_TOK / _prefill_s(profile):,.0f}", profile.source) for profile in data.profiles
    )
    columns = ("profile", *(f"{n} decoding (ms a step)" for n in CONCURRENT), "prefill (tok/s)", "source")
    return Table(columns, rows, f"What the profiles say: contexts of {CONTEXT_TOK} tokens, prompts of {PREFILL_TOK}. "
                 "Derived from the fitted coefficients; a step beyond the engine's slots is extrapolated.")


def residual_table(data: Inputs) -> Table | Prose:
    """Residuals by region, n, and the machine's drift meanwhile."""
    rows: list[tuple[str, ...]] = []
    for profile in data.profiles:
        report = profile.fit_report
        if report is None:
            continue
        name = called(profile.subject.model_dump())
        for region, found in report.residuals.items():
            rows.append((name, region, str(found.n), _signed(found.total_frac), _signed(found.mean_frac),
                         percent(found.p95_abs_frac)))
        drift = report.drift
        rows.append((name, "speed between runs (sd)", str(drift.runs_n), percent(drift.between_runs_sd_frac), "", ""))
    if not rows:
        return missing("a profile with a fit report", "workbench profile fit")
    columns = ("profile", "region", "n", "total time, measured / predicted - 1", "mean", "p95, absolute")
    return Table(columns, tuple(rows), "Residuals of the fit on the calibration runs (never on the held-out ones). "
                 "The total is what a queue feels. The last row is the machine's own unsteadiness.")


def speed_chart(data: Inputs) -> Chart | Prose:
    """Time per output token against concurrency, up to the slots of the engine."""
    if not data.profiles:
        return missing("a profile", "workbench profile fit")
    series = []
    for i, profile in enumerate(data.profiles):
        counts = tuple(n for n in range(1, int(profile.rules.get("slots", 8)) + 1))
        series.append(Series(called(profile.subject.model_dump()), tuple(map(float, counts)),
                             tuple(_step_ms(profile, n) / 1e3 for n in counts), "derived", "line", i))
    sources = ", ".join(dict.fromkeys(profile.source for profile in data.profiles))
    return Chart(
        "speed", "sequences decoding at once", (Panel("time per output token (s)", tuple(series)),),
        "Time of a decode step by batch size: the less it rises, the more batching gains.",
        f"profile source: {sources}", "One rising line a quantisation: time per output token against batch size.",
    )


def _step_ms(profile: Profile, n: int) -> float:
    batch = Batch(decode_n=n, decode_ctx_sum_tok=n * CONTEXT_TOK, decode_ctx_max_tok=CONTEXT_TOK,
                  decode_ctx_min_tok=CONTEXT_TOK)
    return profile.iteration_ns(batch) / 1e6


def _prefill_s(profile: Profile) -> float:
    return profile.iteration_ns(Batch(prefills=((PREFILL_TOK, 0),))) / 1e9


def _signed(value: float) -> str:
    return f"{value:+.1%}"

