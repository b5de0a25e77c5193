"""Load generators side by side, each as its own command, against the server that knows when it really wrote.

`client_truth.py --envs FOLDER` runs it. FOLDER holds an environment for each: FOLDER/*/bin/{vllm, guidellm, aiperf,
inference-perf}; what is not there is left out. An error is what the client says over what the server knows, minus one.
Requests are evenly spaced; the highest rate is that of the last step of the ladder at which TTFT and TPOT were within
the bound and nothing failed. CPU and memory are of the whole command, memory of its largest process; what starting up
costs is left out of the CPU per token by taking a run of eight requests from it.
"""

import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rivals_clients import CLIENTS, TOKENS, Client, Load, Reading, emptied, installed
from truth_process import written

ROOT = Path(__file__).parents[1]
TOKENIZER = ROOT / "datasets" / "models" / "tiny"
ANSWER_S = 0.05 + 0.01 * (TOKENS - 1)
LADDER_TOK_PER_S = (2_500, 5_000, 10_000, 15_000, 20_000, 30_000, 40_000, 50_000, 60_000, 70_000, 80_000)
STEP_S = 4.0
LIMIT_S = 180.0
BOUNDS = (0.01, 0.05)
TELEMETRY_OFF = {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1",
                 "AIPERF_DISABLE_TELEMETRY": "1"}


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of one command, against the truth about the same requests."""

    asked_tok_per_s: int
    ok: int
    n: int
    tok_per_s: int  # 64 times the rate at which requests arrived
    ttft_error_frac: float
    tpot_error_frac: float
    start_up_s: float  # from the start of the command until its first request arrived
    wall_s: float
    cpu_s: float
    peak_mib: float
    worker_mib: float | None

    def within(self, bound: float) -> bool:
        return self.ok == self.n and max(abs(self.ttft_error_frac), abs(self.tpot_error_frac)) <= bound


def ran(client: Client, program: Path, load: Load) -> Ran | str:
    """What it cost and how far off it was; or its last line, where it failed."""
    written(load.port)
    emptied(load.folder)
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"} if client.offline else {}
    begun_ns = time.perf_counter_ns()
    with (load.folder / "log").open("wb") as log:
        process = subprocess.Popen([str(program), *client.arguments(load)], stdout=log, stderr=log, cwd=load.folder,
                                   start_new_session=True, env={**os.environ, **TELEMETRY_OFF, **offline})
        code, used = waited(process)
    wall_s = (time.perf_counter_ns() - begun_ns) / 1e9
    every = written(load.port)
    true = [times for times in every if len(times) == TOKENS + 1]
    lines = (load.folder / "log").read_text(errors="replace").strip().splitlines()
    if code or not true:
        return f"exit code {code}: {lines[-1] if lines else 'it said nothing'}"
    try:
        return compared(client.read(load), load, every, true, wall_s, used)
    except (OSError, KeyError, TypeError, ValueError) as error:
        return f"its results could not be read: {type(error).__name__}: {error}"


def waited(process: "subprocess.Popen[bytes]") -> tuple[int, Any]:
    """(exit code, resources that it and what it waited for have used); killed at the limit."""
    until = time.monotonic() + LIMIT_S
    while True:
        found, status, used = os.wait4(process.pid, os.WNOHANG)
        if found:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, used
        if time.monotonic() > until:
            os.killpg(process.pid, 9)
            until += LIMIT_S
        time.sleep(0.02)


def compared(said: Reading, load: Load, every: list[list[int]], true: list[list[int]], wall_s: float,
             used: Any) -> Ran:
    begun_s, spent_s = time.perf_counter() - wall_s, used.ru_utime + used.ru_stime
    ttft_s = sum(times[1] - times[0] for times in true) / len(true) / 1e9
    tpot_s = sum(times[-1] - times[1] for times in true) / len(true) / (TOKENS - 1) / 1e9
    came = sorted(times[0] for times in true)
    rate_rps = (len(came) - 1) / max((came[-1] - came[0]) / 1e9, 1e-9)
    return Ran(
        round((load.streams / ANSWER_S if load.streams else load.rate_rps or 0) * TOKENS), said.ok, load.n,
        round(rate_rps * TOKENS), said.ttft_s / ttft_s - 1, said.tpot_s / tpot_s - 1,
        round(min(times[0] for times in every) / 1e9 - begun_s, 2), round(wall_s, 2), round(spent_s, 2),
        round(used.ru_maxrss / 1024, 1), said.worker_mib,
    )


def measured(client: Client, program: Path, port: int, folder: Path, ladder: tuple[int, ...]) -> dict[str, Any]:
    def go(n: int, rate_rps: float | None, streams: int | None = None) -> Ran | str:
        return ran(client, program, Load(port, n, rate_rps, streams, TOKENIZER, folder))

    few, low, together = go(8, 8.0), go(40, 4.0), go(64 * 6, None, 64)
    steps: list[Ran | str] = []
    for tok_per_s in ladder:
        rate_rps = round(tok_per_s / TOKENS, 2)
        steps.append(go(round(rate_rps * STEP_S), rate_rps))
        print(f"  {client.name}: {tok_per_s:,} tokens/s: {told(steps[-1])}", file=sys.stderr, flush=True)
        if len(steps) > 1 and not any(isinstance(item, Ran) and item.within(BOUNDS[-1]) for item in steps[-2:]):
            break
    runs = {"start": told_all(few), "low_load": told_all(low), "lockstep": told_all(together),
            "ladder": [told_all(step) for step in steps]}
    return runs | summary(few, low, together, steps)


def told_all(found: Ran | str) -> dict[str, Any] | str:
    return found if isinstance(found, str) else asdict(found)


def told(found: Ran | str) -> str:
    return found if isinstance(found, str) else (
        f"TTFT {found.ttft_error_frac:+.2%}, TPOT {found.tpot_error_frac:+.2%}, {found.ok} of {found.n}")


def summary(few: Ran | str, low: Ran | str, together: Ran | str, steps: list[Ran | str]) -> dict[str, Any]:
    """The row of the table; None where a run failed."""
    good = [item for item in steps if isinstance(item, Ran)]
    best = {bound: max((item.tok_per_s for item in good if item.within(bound)), default=0) for bound in BOUNDS}
    last = max((item for item in good if item.within(BOUNDS[-1])), key=lambda item: item.tok_per_s, default=None)
    us = None
    if last is not None and isinstance(few, Ran):
        us = round((last.cpu_s - few.cpu_s) / ((last.ok - few.ok) * TOKENS) * 1e6, 1)
    return {
        "ttft_error_low_frac": low.ttft_error_frac if isinstance(low, Ran) else None,
        "ttft_error_lockstep_frac": together.ttft_error_frac if isinstance(together, Ran) else None,
        "tok_per_s_within_1_percent": best[BOUNDS[0]], "tok_per_s_within_5_percent": best[BOUNDS[1]],
        "cpu_us_per_tok": us, "start_up_s": few.start_up_s if isinstance(few, Ran) else None,
        "peak_mib": max((item.peak_mib for item in good), default=None),
        "worker_mib": max((item.worker_mib for item in good if item.worker_mib), default=None),
    }


def table(found: dict[str, Any]) -> str:
    lines = [f"{'client':<28}{'TTFT low':>10}{'lockstep':>10}{'tok/s 1 %':>11}{'tok/s 5 %':>11}{'us/tok':>8}"
             f"{'start s':>9}{'MiB':>7}"]
    for name, row in found.items():
        def shown(key: str, form: str, row: dict[str, Any] = row) -> str:
            return "n/a" if row.get(key) is None else format(row[key], form)

        lines.append(
            f"{name + ' ' + row['version']:<28}{shown('ttft_error_low_frac', '+.2%'):>10}"
            f"{shown('ttft_error_lockstep_frac', '+.2%'):>10}{shown('tok_per_s_within_1_percent', ','):>11}"
            f"{shown('tok_per_s_within_5_percent', ','):>11}{shown('cpu_us_per_tok', '.1f'):>8}"
            f"{shown('start_up_s', '.2f'):>9}{shown('peak_mib', '.0f'):>7}")
    return "\n".join(lines)


def chosen(names: str | None) -> tuple[Client, ...]:
    """Raises ValueError."""
    wanted = {client.name for client in CLIENTS} if names is None else set(names.split(","))
    if unknown := wanted - {client.name for client in CLIENTS}:
        raise ValueError(f"--only: {', '.join(sorted(unknown))}: must be of "
                         f"{', '.join(client.name for client in CLIENTS)}")
    return tuple(client for client in CLIENTS if client.name in wanted)


def side_by_side(clients: tuple[Client, ...], envs: Path, port: int, folder: Path, most: int) -> dict[str, Any]:
    """What `table` shows, and every run behind it, in JSON's types; what is not installed is left out."""
    ladder, found = tuple(step for step in LADDER_TOK_PER_S if step <= most), {}
    for client in clients:
        place = installed(client, envs)
        if place is None:
            print(f"{client.name}: not there, left out", file=sys.stderr)
            continue
        program, version = place
        found[client.name] = {"version": version, **measured(client, program, port, folder, ladder)}
    return found
