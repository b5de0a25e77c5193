"""The load generator against a server that knows when it really wrote: how far off its readings are, and at what cost.

    python benchmarks/client_truth.py [--json] [--quick] [--envs FOLDER [--only NAME,NAME] [--most-tok-per-s N]]

The server (truth_server.py: first token after 50 ms, then 10 ms apart, 64 tokens) keeps to the last core, everything
else to the others. An error is the client's mean over the server's own, minus one. Where a load is said to be carried,
TTFT and TPOT are within 1 % and nothing failed. With --envs one table follows of ours and of every other load generator
that FOLDER holds an environment for, each run as a command (rivals.py).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rivals import LADDER_TOK_PER_S, chosen, side_by_side, table
from truth_process import truth, written

from workbench.bench.run import run
from workbench.bench.target import Target
from workbench.runlog.provenance import Machine, collect
from workbench.runlog.schema import Planned

TOKENS = 64
LADDER = (64, 128, 256, 384, 512, 640, 768, 832, 896, 960, 1024, 1152, 1280)
ROUNDS = 5  # answers of each stream at a step of the ladder
WITHIN = 0.01


def measure(port: int, n: int, folder: Path, *, rate: float | None = None, streams: int | None = None,
            stagger_s: float = 0.2, workers: int = 1) -> dict[str, Any]:
    """One run, held against what the server says of the same requests."""
    written(port)
    gap_ns = 0 if rate is None else round(1e9 / rate)
    schedule = [Planned(f"r{i}", None if rate is None else i * gap_ns, 5, TOKENS) for i in range(n)]
    log = run(Target(f"http://127.0.0.1:{port}", "truth"), schedule, ["hello"] * n,
              folder / f"{time.perf_counter_ns()}.parquet", collect("real"), concurrency=streams, stagger_s=stagger_s,
              workers=workers)
    true, client = written(port), log.provenance.client
    rows = [row for row in log.rows() if row.outcome == "ok"]
    seen = [(row.first_token_ns - row.sent_ns, (row.last_token_ns - row.first_token_ns) / (TOKENS - 1), row.sent_ns,
             row.last_token_ns) for row in rows if row.sent_ns and row.first_token_ns and row.last_token_ns]
    ttft, tpot, sent, last = (np.array(item, dtype=float) for item in zip(*seen, strict=True))
    true_ttft = np.array([times[1] - times[0] for times in true])
    true_tpot = np.array([(times[-1] - times[1]) / (TOKENS - 1) for times in true])
    return {
        "streams": streams, "rate_rps": rate, "requests": n, "ok": len(rows),
        "tokens_per_s": round(len(rows) * TOKENS / ((last.max() - sent.min()) / 1e9)),
        "ttft_error_frac": float(ttft.mean() / true_ttft.mean() - 1),
        "ttft_p99_error_frac": float(np.quantile(ttft, 0.99) / np.quantile(true_ttft, 0.99) - 1),
        "tpot_error_frac": float(tpot.mean() / true_tpot.mean() - 1),
        "server_tpot_ms": float(true_tpot.mean() / 1e6),
        "cpu_us_per_token": round(client["cpu_s"] * 1e6 / client["chunks"], 1), "cpu_frac": client["cpu_frac"],
        "rss_mib": client.get("rss_mib"), "client_limited": client["client_limited"],
        "lag_p99_ms": round((client["lag_s"]["p99"] or 0) * 1e3, 2),
        "workers": workers,
    }


def carried(found: dict[str, Any]) -> bool:
    errors = (found["ttft_error_frac"], found["tpot_error_frac"])
    return found["ok"] == found["requests"] and all(abs(item) <= WITHIN for item in errors)


def ladder(port: int, folder: Path, workers: int, steps: tuple[int, ...]) -> list[dict[str, Any]]:
    """Up to two steps beyond the last that is carried."""
    found: list[dict[str, Any]] = []
    for streams in steps:
        found.append(measure(port, streams * ROUNDS, folder, streams=streams, stagger_s=0.68, workers=workers))
        if len(found) > 2 and not any(carried(item) for item in found[-3:]):
            break
    return found


START = """
import sys
from pathlib import Path
from workbench.bench.run import run
from workbench.bench.target import Target
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Planned
run(Target(sys.argv[1], "truth"), [Planned("r0", 0, 5, 1)], ["hello"], Path(sys.argv[2]),
    Provenance("real", "2026-01-01T00:00:00Z"))
"""


def start_up_s(port: int, folder: Path) -> float:
    """From the start of an interpreter that has one request to send until that arrives: the median of five."""
    found = []
    for i in range(5):
        written(port)
        begun_ns = time.perf_counter_ns()
        subprocess.run([sys.executable, "-c", START, f"http://127.0.0.1:{port}", str(folder / f"start{i}.parquet")],
                       check=True)
        found.append((written(port)[0][0] - begun_ns) / 1e9)
    return round(median(found), 3)


def own(port: int, folder: Path, workers: int, quick: bool) -> dict[str, Any]:
    low = measure(port, 20 if quick else 120, folder, rate=4.0)
    together = measure(port, 64 * 8, folder, streams=64, stagger_s=0.0)
    steps = ladder(port, folder, workers, (64, 256, 512) if quick else LADDER)
    best = max((item for item in steps if carried(item)), key=lambda item: item["tokens_per_s"], default=None)
    return {"low_load": low, "lockstep": together, "start_up_s": start_up_s(port, folder), "ladder": steps,
            "carried": best}


def show(found: dict[str, Any]) -> None:
    low, best = found["low_load"], found["carried"]
    print(f"{found['machine']['cpu']}, {found['machine']['cores']} cores; Python {found['python']}")
    print(f"low load (4 requests/s): TTFT {low['ttft_error_frac']:+.2%}, TPOT {low['tpot_error_frac']:+.3%}; "
          f"{low['rss_mib']} MiB resident")
    print(f"64 in lockstep: TTFT {found['lockstep']['ttft_error_frac']:+.2%}")
    print(f"first request {found['start_up_s']} s after the start of Python, imports included")
    print(f"{'streams':>8}{'tokens/s':>10}{'TTFT':>9}{'p99':>9}{'TPOT':>9}{'server ms':>11}{'us/token':>10}{'core':>6}"
          f"{'lag ms':>8}{'MiB':>6}  limited")
    for item in found["ladder"]:
        print(f"{item['streams']:>8}{item['tokens_per_s']:>10,}{item['ttft_error_frac']:>+9.2%}"
              f"{item['ttft_p99_error_frac']:>+9.2%}{item['tpot_error_frac']:>+9.2%}{item['server_tpot_ms']:>11.3f}"
              f"{item['cpu_us_per_token']:>10}{item['cpu_frac']:>6.0%}{item['lag_p99_ms']:>8.2f}"
              f"{item['rss_mib'] or 0:>6.1f}  {'yes' if item['client_limited'] else 'no'}")
    print(f"carried within {WITHIN:.0%}: {best['tokens_per_s'] if best else 0:,} tokens/s")
    if found.get("clients"):
        print("\n" + table(found["clients"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a short ladder")
    parser.add_argument("--workers", type=int, default=1, help="worker processes")
    parser.add_argument("--envs", type=Path, help="folder of environments of other load generators, one a client")
    parser.add_argument("--only", help="load generators in the table, comma between")
    parser.add_argument("--most-tok-per-s", type=int, default=LADDER_TOK_PER_S[-1], help="the table's last step")
    given = parser.parse_args()
    try:
        clients = chosen(given.only) if given.envs else ()
    except ValueError as error:
        parser.error(str(error))
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[:-1]))
    found: dict[str, Any] = {"machine": asdict(Machine.here()), "python": sys.version.split()[0],
                             "load_before": os.getloadavg()}
    with tempfile.TemporaryDirectory() as name, truth(cores[-1] if len(cores) > 1 else None) as port:
        found |= own(port, Path(name), given.workers, given.quick)
        if clients:
            found["clients"] = side_by_side(clients, given.envs, port, Path(name) / "run", given.most_tok_per_s)
    if given.json:
        json.dump(found, sys.stdout, indent=1)
        print()
    else:
        show(found)


if __name__ == "__main__":
    main()
