"""One point: send its workload to an engine that runs, watch both, and put everything into one row."""

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.bench import telemetry
from workbench.bench.lengths import obtained
from workbench.bench.run import run
from workbench.errors import Failure, UsageError
from workbench.files import write_json
from workbench.flows.sweeps.failures import PointFailure, is_ours, of_run
from workbench.flows.sweeps.fingerprint import Here
from workbench.flows.sweeps.guards import guards
from workbench.flows.sweeps.hosts import Host
from workbench.flows.sweeps.points import Point
from workbench.flows.sweeps.slo import attained
from workbench.flows.sweeps.spec import SweepSpec
from workbench.metrics import Slo, summarise, window_s
from workbench.runlog.schema import Planned
from workbench.runlog.table import RunLog, read

LOG, SUMMARY = "run.parquet", "summary.json"
QUIET_S = 5.0  # after a run was cut short: how long the engine may take to put its requests aside
DEATH_S = 1.0  # after errors: how long to wait for the engine's process to be seen dead


@dataclass(frozen=True, slots=True)
class Measured:
    """What a row is made of; `failure` None where the point is good."""

    fields: dict[str, Any]
    failure: PointFailure | None


def measure(
    point: Point, spec: SweepSpec, host: Host, schedule: Sequence[Planned], folder: Path, *,
    here: Here, usd_per_hour: float | None, shares_prefix: bool, deadline_s: float,
) -> Measured:
    """Write run.parquet, summary.json and telemetry.jsonl into `folder`. Raises Failure only for what is not the
    point's (a full disk), and KeyboardInterrupt when asked to stop."""
    before = host.metrics()
    order = telemetry.Order(folder / telemetry.FILE, spec.telemetry_interval_s, host.pid, host.metrics_url,
                            host.metric_names, host.target.api_key)
    failure: PointFailure | None = None
    try:
        with telemetry.watching(order), deadline(deadline_s) as passed:
            try:
                log = _sent(point, spec, host, schedule, folder, here=here, usd_per_hour=usd_per_hour)
            except KeyboardInterrupt:
                if not passed:
                    raise
        if passed:
            failure = PointFailure("too slow", f"stopped after {deadline_s:.0f} s", tuple(host.log_tail()))
            if not (folder / LOG).exists():
                return Measured({}, failure)
            log = read(folder / LOG)
    except UsageError as error:
        return Measured({}, PointFailure("refused", str(error)))
    except Failure as error:
        if is_ours(str(error)):
            raise
        alive, said = _alive(host), str(error).replace(str(folder), folder.name)  # no path of this machine
        kind = of_run(said, host.log_tail(), alive=alive)
        if "load generator" in said and alive:
            kind = PointFailure("client", said)
        if not (folder / LOG).exists():
            return Measured({}, kind)
        log, failure = read(folder / LOG), kind
    fields = _fields(log, host, before, spec, folder, usd_per_hour, shares_prefix=shares_prefix,
                     turns=any(item.after for item in schedule))
    cut = log.provenance.client.get("over_saturated")
    if failure is None and cut and host.alive():
        failure = PointFailure("over-saturated", str(cut))
    return Measured(fields, failure or _died(log, host))


def _sent(
    point: Point, spec: SweepSpec, host: Host, schedule: Sequence[Planned], folder: Path, *, here: Here,
    usd_per_hour: float | None,
) -> RunLog:
    made = host.prompts(schedule, folder)
    provenance = replace(
        host.provenance, seeds={"workload": point.seed, "prompts": made.salt}, price_usd_per_hour=usd_per_hour,
        gpu=here.gpu if point.setting.gpus else "", driver=here.driver or "",
        workload={"role": "sweep", "name": point.workload, "concurrency": point.concurrency,
                  "rate_per_s": point.rate_per_s, "lengths": made.how},
    )
    workers = min(spec.workers, point.concurrency or len(schedule), len(schedule))
    return run(host.target, schedule, made.prompts, folder / LOG, provenance, concurrency=point.concurrency,
               workers=workers, stop_over_saturation=spec.load.stop_over_saturation)


def _died(log: RunLog, host: Host) -> PointFailure | None:
    """A failure where the engine is dead, or nothing succeeded; single errors are the guards' business."""
    outcomes = log.outcomes()
    if outcomes["ok"] == len(log):
        return None
    alive = _alive(host)
    if alive and outcomes["ok"]:
        return None
    reasons = [str(error) for error in log.text("error") if error]
    common = max(set(reasons), key=lambda reason: (reasons.count(reason), reason), default="no reason given")
    said = f"{outcomes['ok']} of {len(log)} requests succeeded; the others: {common}"
    return of_run(said, host.log_tail(), alive=alive)


def _alive(host: Host) -> bool:
    """A process that is just dying is given a second to be seen dead."""
    until_s = time.monotonic() + DEATH_S
    while alive := host.alive():
        if time.monotonic() > until_s:
            break
        time.sleep(0.05)
    return alive


def _fields(
    log: RunLog, host: Host, before: Mapping[str, float], spec: SweepSpec, folder: Path,
    usd_per_hour: float | None, *, shares_prefix: bool, turns: bool,
) -> dict[str, Any]:
    search = spec.load.search
    slo = Slo(**search.slo.model_dump()) if search else None
    summary = summarise(log, {"*": slo} if slo else None) | {
        "client": log.provenance.client, "lengths": obtained(log.counted.rows())}
    write_json(folder / SUMMARY, summary)
    head, samples = telemetry.read(folder / telemetry.FILE)
    begin_ns, end_ns = window_ns(log)
    reduced = telemetry.reduce(head, samples, begin_ns, end_ns)
    metrics = flat(summary)
    found = guards(log, before, host.metrics(), reduced, shares_prefix=shares_prefix, turns=turns)
    return {
        "outcomes": summary["outcomes"], "requests": summary["requests"], "metrics": metrics,
        "guards": found, "telemetry": reduced, **per_token(log, usd_per_hour, reduced["energy_j"]),
        "client": log.provenance.client, "facts": log.provenance.engine_facts, "kv_type": log.provenance.kv_type,
        "slo": None if slo is None else attained(log, slo) | {"saturated": bool(found["saturated"])},
    }


def window_ns(log: RunLog) -> tuple[int, int]:
    """First send to last end of the counted requests, on the system's monotonic clock; (0, 0) where none was sent."""
    zero_ns = int(log.provenance.client.get("zero_monotonic_ns") or 0)
    rows = [(row.sent_ns, row.end_ns) for row in log.counted.rows()]
    sent, end = [a for a, _ in rows if a is not None], [b for _, b in rows if b is not None]
    return (zero_ns + min(sent), zero_ns + max(end)) if sent and end and zero_ns else (0, 0)


def flat(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """`ttft_s` is the mean, `ttft_s_p95` a percentile; of the run's metrics the value."""
    found: dict[str, float | None] = {}
    for name, parts in summary["metrics"].items():
        for key, by_world in parts.items():
            if key in ("unit", "n"):
                continue
            found[name if key in ("mean", "value") else f"{name}_{key}"] = by_world["measured"]
    return found


def per_token(log: RunLog, usd_per_hour: float | None, energy_j: float | None) -> dict[str, Any]:
    """Money and energy of the window per token that was served; null where price, power or tokens are not known."""
    counted = log.counted.ok
    output_tok = _total(counted, "output_tok")
    prompt_tok = _total(counted, "prompt_tok")
    usd = None if usd_per_hour is None else usd_per_hour * window_s(log.counted) / 3600
    all_tok = None if output_tok is None or prompt_tok is None else output_tok + prompt_tok
    return {
        "output_tok": output_tok, "prompt_tok": prompt_tok, "window_usd": usd,
        "usd_per_million_output_tok": _over(usd, output_tok, 1e6), "usd_per_million_tok": _over(usd, all_tok, 1e6),
        "j_per_output_tok": _over(energy_j, output_tok), "j_per_tok": _over(energy_j, all_tok),
    }


def quiet(host: Host) -> bool:
    """Whether the engine says, within a few seconds, that it has put aside what was cut off. False where it does not
    tell: then it is started anew."""
    until_s = time.monotonic() + QUIET_S
    while (running := host.metrics().get("running")) and time.monotonic() < until_s:
        time.sleep(0.1)
    return running == 0


NOTHING_SERVED: Mapping[str, None] = dict.fromkeys((
    "output_tok", "prompt_tok", "window_usd", "usd_per_million_output_tok", "usd_per_million_tok", "j_per_output_tok",
    "j_per_tok"))


def _total(log: RunLog, column: str) -> int | None:
    values = log.floats(column)
    known = values[values == values]
    return int(known.sum()) if len(values) and len(known) == len(values) else None


def _over(value: float | None, tok: int | None, scale: float = 1.0) -> float | None:
    return None if value is None or not tok else value / tok * scale


@contextmanager
def deadline(seconds: float) -> Iterator[list[bool]]:
    """Interrupt this process after so long, once; the list is then not empty. Only in the main thread, where
    interrupts arrive; elsewhere there is no deadline but the requests' own timeouts."""
    passed: list[bool] = []
    main = threading.main_thread()
    if threading.current_thread() is not main:
        yield passed
        return

    def over() -> None:
        passed.append(True)
        assert main.ident is not None
        signal.pthread_kill(main.ident, signal.SIGINT)

    timer = threading.Timer(seconds, over)
    timer.daemon = True
    timer.start()
    try:
        yield passed
    finally:
        try:
            timer.cancel()
            timer.join()
        except KeyboardInterrupt:  # it fired in the very moment in which all was done
            if not passed:
                raise
