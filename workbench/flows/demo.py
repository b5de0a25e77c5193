"""The whole chain on this machine: measure, fit, simulate, validate, decide, report."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from workbench.files import write_json, write_text
from workbench.flows import calibrate, gpus
from workbench.flows.fit import fit_profile
from workbench.flows.measure import Measurement, measure
from workbench.flows.plan import plan_file
from workbench.flows.rates import rate_for_busy
from workbench.flows.validate import validate
from workbench.models.shipped import ModelFile, find
from workbench.paths import refuse_used, shown, stamped
from workbench.paths import reports as default_reports
from workbench.profile.profile import Profile

MODEL = "tiny-27m"
QUANTS = ("Q4_0", "Q8_0", "F16")
REPEATED = "Q4_0"  # the one that is measured three times
REPEATS = 3
OPTIONS = {"slots": 4, "threads": 1, "n_batch": 512}
LIVE_BUSY = (0.35, 0.65)  # low and middle load for calibration
HELD_OUT_BUSY = 0.6
SEED = 20_260
PLAN = """\
# The demo's decision. Change a line and ask again: workbench plan plan.toml
title = "A small assistant: which quantisation, how many replicas, at what cost?"

[workload]
requests = 240
warmup_requests = 24
arrivals = { kind = "poisson", rate_per_s = 12.0 }
prompt_tok = { kind = "lognormal", mean_tok = 100, sigma = 0.6, min_tok = 8, max_tok = 1000 }
output_tok = { kind = "lognormal", mean_tok = 40, sigma = 0.5, min_tok = 2, max_tok = 200 }

[slo]
ttft_s = 1.0
tpot_s = 0.025
attainment_frac = 0.95

[api]
name = "deepinfra-llama-3.1-8b"
"""
CANDIDATE = """
[[candidate]]
name = "{quant}"
profile = "{quant}/profile.json"
machine = "digitalocean-2vcpu-8gb"
replicas_per_machine = 1  # as measured: the other core is the client's; two engines would share memory bandwidth
"""


class Bar(Protocol):
    """Progress of one step."""

    def update(self, done: int) -> None: ...


class Report(Protocol):
    """A finished report, as the layer above gives it back."""

    @property
    def html(self) -> Path: ...
    @property
    def results(self) -> list[dict[str, Any]]: ...


Progress = Callable[[int, str], AbstractContextManager[Bar]]
RunReport = Callable[[Path, Path], Report]  # (folder of results, where reports go); reports live above the flows


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the runs are. The default keeps the whole demo under five minutes on two cores."""

    live_s: float = 12.0  # one held-out run lies between two such live traces; three between four shorter ones
    held_out_n: int = 62  # requests, the warm-up one included: the fewest that allow a 95th percentile
    held_out_s: float = 32.0  # at most


FULL = Pace()
QUICK = Pace(live_s=3.0, held_out_n=20, held_out_s=5.0)


def run_demo(
    out: Path | None, reports: Path | None, progress: Progress, run_report: RunReport, *, seed: int | None = None,
    quick: bool = False,
) -> dict[str, Any]:
    """`workbench demo`. A folder that is there already is refused: nothing stale is reused, nothing lost."""
    folder = out or stamped("demo")
    refuse_used(folder)
    demo = Demo(
        folder, progress, pace=QUICK if quick else FULL, seed=SEED if seed is None else seed,
        quants=(REPEATED,) if quick else QUANTS,
    )
    return demo.run(run_report, reports or default_reports())


@dataclass
class Demo:
    """What the steps share. Every step writes its files as it goes, so an interruption keeps what was measured."""

    folder: Path
    progress: Progress
    pace: Pace = Pace()
    seed: int = SEED
    quants: Sequence[str] = QUANTS
    profiles: dict[str, Profile] = field(default_factory=dict)
    held_out: dict[str, list[Path]] = field(default_factory=dict)

    def run(self, run_report: RunReport, reports: Path) -> dict[str, Any]:
        """All steps; returns where everything is and what came out."""
        models = self.prepare()
        for quant in self.quants:
            self.measure_and_fit(quant, models[quant])
        validation = self.validate()
        plan = self.plan()
        self.gpus()
        with self.progress(1, "report: run the capacity notebook") as bar:
            report = run_report(self.folder, reports)
            bar.update(1)
        return {
            "kind": "workbench.demo", "schema": 1, "folder": shown(self.folder), "report": shown(report.html),
            "validation": validation, "plan": plan, "results": report.results,
        }

    def prepare(self) -> dict[str, ModelFile]:
        """The shipped model, grown, in each quantisation (cached)."""
        found = {}
        label = f"model: tiny, grown to 27 M parameters, as {', '.join(self.quants)}"
        with self.progress(len(self.quants), label) as bar:
            for done, quant in enumerate(self.quants):
                found[quant] = find(MODEL, quant)
                bar.update(done + 1)
        return found

    def measure_and_fit(self, quant: str, model: ModelFile) -> None:
        """Grid, then live traces and held-out runs in turn, so that both see the same drift; then the fit."""
        folder = self.folder / quant
        logs = [self._measure(item, model, folder) for item in calibrate.grid(self.seed)]
        rough = fit_profile(logs, or_limited=True)
        self.held_out[quant] = []
        for what in self._traffic(quant, rough):
            path = self._measure(what, model, folder)
            (logs if what.role == "live" else self.held_out[quant]).append(path)
        self.profiles[quant] = fit_profile(logs, folder / "profile.json", or_limited=True)

    def validate(self) -> list[dict[str, Any]]:
        """Each held-out workload against its simulation."""
        with self.progress(len(self.quants), "simulate and validate the held-out runs") as bar:
            found = []
            for done, quant in enumerate(self.quants):
                found.append(validate(self.profiles[quant], self.held_out[quant]))
                bar.update(done + 1)
        write_json(self.folder / "validation.json", {"kind": "workbench.validations", "schema": 1, "items": found})
        return found

    def plan(self) -> dict[str, Any]:
        """The decision: the plan file is written beside its answer, to be changed and asked again."""
        write_text(self.folder / "plan.toml", PLAN + "".join(CANDIDATE.format(quant=quant) for quant in self.quants))
        with self.progress(len(self.quants), "plan: simulate fleets of each quantisation") as bar:
            done = iter(range(len(self.quants)))
            return plan_file(self.folder / "plan.toml", self.folder, on_candidate=lambda _name: bar.update(next(done)))

    def gpus(self) -> None:
        """What GPUs that nobody here owns would serve, on the shipped silicon profiles."""
        total = gpus.count_profiles()
        with self.progress(total, "gpus: what one, two, four and eight would serve (silicon profiles)") as bar:
            gpus.write(self.folder, on_profile=bar.update)

    def _traffic(self, quant: str, rough: Profile) -> Iterator[Measurement]:
        pace, repeats = self.pace, REPEATS if quant == REPEATED else 1
        low, middle = (rate_for_busy(rough, busy, self.seed) for busy in LIVE_BUSY)
        rate = rate_for_busy(rough, HELD_OUT_BUSY, self.seed)
        held_out = calibrate.poisson(rate, requests=pace.held_out_n)
        if pace.held_out_n > rate * pace.held_out_s:
            held_out = calibrate.poisson(rate, duration_s=pace.held_out_s)
        lives = [calibrate.poisson(rate, duration_s=pace.live_s / repeats**0.5) for rate in (low, middle)]
        for number in range(repeats):  # the same requests in each held-out run: what differs is the machine
            yield calibrate.live(f"live-{number + 1}", "live", lives[number % 2], self.seed + 11 + number)
            yield calibrate.live(f"heldout-{number + 1}", "held_out", held_out, self.seed + 31)
        yield calibrate.live(f"live-{repeats + 1}", "live", lives[repeats % 2], self.seed + 11 + repeats)

    def _measure(self, what: Measurement, model: ModelFile, folder: Path) -> Path:
        label = f"measure {model.quant} {what.name}: {len(what.schedule)} requests"
        with self.progress(len(what.schedule), label) as bar:
            measure(what, model, OPTIONS, folder, on_progress=lambda done, _total: bar.update(done))
        return folder / f"{what.name}.parquet"
