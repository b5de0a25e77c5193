"""A profile of any OpenAI endpoint: a designed grid of prompts and waves, sent by the load generator."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from workbench import paths
from workbench.bench.run import run
from workbench.errors import Failure, UsageError
from workbench.flows.bench_prompts import Made, calibrated, exact, none_succeeded
from workbench.flows.bench_spec import TargetSpec
from workbench.profile.endpoint import Wave, middle, prompt_points, wave
from workbench.profile.points import fit
from workbench.profile.profile import Profile, Subject, write
from workbench.runlog.provenance import Provenance, collect
from workbench.runlog.schema import Planned
from workbench.runlog.table import RunLog

PROMPTS_TOK = (16, 128, 512, 1024)
CONCURRENCY = (1, 2, 4, 8)
CONTEXTS_TOK = (32, 512)  # prompts of the waves: two, so that the cost of context shows
REPEATS = 3
OUTPUT_TOK = 32


@dataclass(frozen=True, slots=True)
class Design:
    """What is sent: every prompt length alone, every wave at every context; each `repeats` times."""

    prompts_tok: tuple[int, ...] = PROMPTS_TOK
    concurrency: tuple[int, ...] = CONCURRENCY
    contexts_tok: tuple[int, ...] = CONTEXTS_TOK
    output_tok: int = OUTPUT_TOK
    repeats: int = REPEATS

    def __post_init__(self) -> None:
        for name in ("prompts_tok", "concurrency", "contexts_tok"):
            values = getattr(self, name)
            if not values or min(values) < 1:
                raise UsageError(f"{name}: {values}: whole numbers of at least 1, at least one of them")
        if len(set(self.prompts_tok)) < 2:
            raise UsageError("prompts_tok: two lengths at least: a slope needs two points")
        if self.output_tok < 8 or self.repeats < 1:
            raise UsageError(f"output_tok {self.output_tok} must be at least 8, repeats {self.repeats} at least 1")

    def alone(self) -> tuple[Planned, ...]:
        """The first request is warm-up: it pays for connections and caches."""
        lengths = [self.prompts_tok[0], *(tok for _ in range(self.repeats) for tok in self.prompts_tok)]
        return tuple(Planned(f"p{i:03d}", None, tok, 2, warmup=i == 0) for i, tok in enumerate(lengths))

    def waves(self) -> list[tuple[str, tuple[Planned, ...]]]:
        return [
            (f"wave-{together}x{context}-{repeat}",
             tuple(Planned(f"w{i:03d}", None, context, self.output_tok) for i in range(together)))
            for repeat in range(self.repeats) for together in sorted(set(self.concurrency))
            for context in self.contexts_tok
        ]


def measure(
    spec: TargetSpec, design: Design, folder: Path, out: Path, *, base: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Profile:
    """Logs go into `folder`, the profile to `out`. Raises Failure where nothing could be seen."""
    paths.refuse_used(folder)
    target, provenance = spec.target(), collect("real", engine="openai", model=spec.model)
    runs = [("alone", design.alone(), 1), *((name, part, len(part)) for name, part in design.waves())]
    made = _prompts(spec, [planned for _, part, _ in runs for planned in part], folder, provenance, base or Path.cwd())
    prompts, logs = iter(made.prompts), []
    for name, part, concurrency in runs:
        known = replace(provenance, workload={"role": "grid", "name": name, "concurrency": concurrency})
        log = run(target, part, list(islice(prompts, len(part))), folder / f"{name}.parquet", known,
                  concurrency=concurrency, stagger_s=0.0)
        none_succeeded(log, target.url, folder)
        logs.append(log)
        on_progress(len(logs), len(runs))
    profile = fitted(spec, logs[0], [wave(log) for log in logs[1:]], provenance, made.how)
    write(profile, out)
    return profile


def _prompts(
    spec: TargetSpec, schedule: Sequence[Planned], folder: Path, provenance: Provenance, base: Path
) -> Made:
    """All of them at once: lengths are tried out on the endpoint only once."""
    tokenizer = base / spec.tokenizer if spec.tokenizer else None
    if tokenizer is not None and spec.api == "completions":
        return exact(schedule, tokenizer)
    return calibrated(spec.target(), schedule, tokenizer, folder, provenance)


def fitted(
    spec: TargetSpec, alone: RunLog, seen: Sequence[Wave], provenance: Provenance, lengths: dict[str, Any]
) -> Profile:
    prompts = prompt_points(alone)
    by_size: dict[tuple[int, int], list[Any]] = {}
    for item in seen:
        if item.point is not None:
            by_size.setdefault((item.point.decodes, item.point.low_tok), []).append(item.point)
    if not prompts or not by_size:
        raise Failure("the endpoint streamed no usable times: it must stream (one chunk a token) and report usage")
    found = fit(prompts, [middle(points) for points in by_size.values()])
    short = sorted({item.sent for item in seen} - {item.sent for item in seen if item.point is not None})
    machine = provenance.machine
    thin = (
        "end-to-end: engine and network together, as a client saw them",
        "prompts beside decodes were not measured: their times are added up",
        "the engine's batching rules and KV cache are unknown: state them in the scenario",
        *(f"{size} sent together never decoded together: the endpoint ran fewer" for size in short), *found.thin,
    )
    return Profile(
        source="measured", model=found.grid, ranges=found.ranges, thin=thin,
        subject=Subject(engine="openai", model=spec.model, hardware="behind an endpoint"),
        provenance={
            "started_at_utc": provenance.started_at_utc, "git_commit": provenance.git_commit,
            "client": {"cpu": machine.cpu, "cores": machine.cores} if machine else None,
            "api": spec.api, "lengths": lengths.get("method", ""), "reproduces": found.reproduces,
            "waves": [{"sent": item.sent, "together": item.together} for item in seen],
        },
    )
