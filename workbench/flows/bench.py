"""`workbench bench`: one workload on one endpoint or one of our engines, into a run log and its summary."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import paths
from workbench.bench.lengths import obtained
from workbench.bench.run import run
from workbench.bench.target import Target
from workbench.files import write_json
from workbench.flows.bench_hits import hits
from workbench.flows.bench_prompts import Made, calibrated, check, exact, none_succeeded
from workbench.flows.bench_spec import BenchSpec, EngineSpec, TargetSpec
from workbench.runlog.provenance import Provenance, collect
from workbench.runlog.schema import Planned
from workbench.workload.draw import draw

if TYPE_CHECKING:
    from engines import Engine
    from workbench.runlog.table import RunLog

LOG, SUMMARY = "run.parquet", "summary.json"
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Benched:
    """A finished run: its log, its folder, and the summary that lies beside it."""

    log: "RunLog"
    folder: Path
    summary: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ready:
    """Where to send, what, and what is known of who answers."""

    target: Target
    made: Made
    provenance: Provenance


def default_folder() -> Path:
    return paths.stamped("bench")


def bench(
    spec: BenchSpec, folder: Path, *, base: Path | None = None, config_text: str = "", engine: "Engine | None" = None,
    on_progress: OnProgress | None = None, note: Callable[[str], None] = lambda _: None,
) -> Benched:
    """Measure into `folder`; on Ctrl-C what was measured is kept there and KeyboardInterrupt goes on.

    `base` is the folder to which file names in the workload are relative; `engine` is one from the user's own file,
    in place of the name in `spec`. Raises Failure when nothing succeeded.
    """
    paths.refuse_used(folder)
    schedule = draw(spec.workload, spec.seed, base=base)
    with prepared(spec, schedule, folder, base=base, engine=engine) as found:
        provenance = _described(found.provenance, spec, found.made, config_text)
        try:
            log = run(
                found.target, schedule, found.made.prompts, folder / LOG, provenance, concurrency=spec.concurrency,
                on_progress=on_progress, workers=spec.workers, stop_over_saturation=spec.stop_over_saturation,
            )
        except KeyboardInterrupt:
            _keep(folder, found.made, note)
            raise
    summary = _summarised(log, found.made, folder)
    none_succeeded(log, found.target.url, folder)
    return Benched(log, folder, summary)


def prepared(
    spec: BenchSpec, schedule: Sequence[Planned], folder: Path, *, base: Path | None = None,
    engine: "Engine | None" = None,
) -> AbstractContextManager[Ready]:
    """The endpoint, or the engine for as long as this lasts, with prompts made for the schedule."""
    if spec.target is not None:
        return _on_endpoint(spec.target, schedule, folder, base or Path.cwd())
    return _on_engine(spec, schedule, folder, engine)


@contextmanager
def _on_endpoint(given: TargetSpec, schedule: Sequence[Planned], folder: Path, base: Path) -> Iterator[Ready]:
    target = given.target()
    provenance = collect("real", engine="openai", model=given.model)
    tokenizer = base / given.tokenizer if given.tokenizer else None
    if tokenizer is not None and given.api == "completions":
        made = exact(schedule, tokenizer)
        check(target, made.prompts[0], folder, provenance)
    else:
        made = calibrated(target, schedule, tokenizer, folder, provenance)
    yield Ready(target, made, provenance)


@contextmanager
def _on_engine(
    spec: BenchSpec, schedule: Sequence[Planned], folder: Path, record: "Engine | None"
) -> Iterator[Ready]:
    from engines import find, launch
    from workbench.flows.engine_models import model_for
    from workbench.flows.launched import provenance_of, target_of

    assert spec.engine is not None
    given: EngineSpec = spec.engine
    engine = record or find(given.name)
    model = model_for(engine, given.model, given.quant) if given.model else None
    tokenizer = model.tokenizer_path if model is not None else None
    # before the engine starts: it takes a while
    made = exact(schedule, tokenizer, ids=engine.requests.ids) if tokenizer is not None else None
    with launch(engine, model, given.options, log_dir=folder / "logs") as running:
        provenance, target = provenance_of(running, model), target_of(running, model, given.timeout_s)
        yield Ready(target, made or calibrated(target, schedule, None, folder, provenance), provenance)


def _described(known: Provenance, spec: BenchSpec, made: Made, config_text: str) -> Provenance:
    """What was known of the endpoint, with the workload, the seeds and the configuration."""
    text = collect("real", config_text=config_text)
    workload = spec.workload.model_dump(mode="json", exclude_none=True)
    return replace(
        known, seeds={"workload": spec.seed, "prompts": made.salt}, config_text=text.config_text,
        config_sha256=text.config_sha256,
        workload={"role": "live", "concurrency": spec.concurrency, "lengths": made.how, **workload},
    )


def _summarised(log: "RunLog", made: Made, folder: Path) -> dict[str, Any]:
    from workbench.metrics import summarise  # loads pandas, which the first request need not wait for

    summary = summarise(log) | {
        "client": log.provenance.client, "lengths": made.how | obtained(log.counted.rows()),
        "prefix": hits(log),
        "run": paths.shown(folder / LOG),
    }
    write_json(folder / SUMMARY, summary)
    return summary


def _keep(folder: Path, made: Made, note: Callable[[str], None]) -> None:
    """After an interruption: summarise what there is and say where it lies."""
    if (folder / LOG).exists():
        from workbench.runlog.table import read

        log = read(folder / LOG)
        _summarised(log, made, folder)
        note(f"kept {len(log) - log.outcomes()['unfinished']} of {len(log)} requests in {paths.shown(folder / LOG)}")
