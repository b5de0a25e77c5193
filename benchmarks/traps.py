"""The eight traps of streamed answers, side by side: what is true, and what each load generator says.

    python benchmarks/traps.py [--envs FOLDER] [--json] [--only NAME,NAME]

FOLDER as for rivals.py. Ours is run through its library, so that no calibration stands beside the requests. A reading
counts as right within half of what falling into the trap would move it (TPOT: 10 %).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rivals import TELEMETRY_OFF, TOKENIZER, waited
from rivals_clients import CLIENTS, Client, Load, Reading, emptied, installed
from traps_server import TRAPS, Trap, TrapServer, trapping

from workbench import metrics
from workbench.bench.run import run
from workbench.bench.target import Target
from workbench.runlog.provenance import collect
from workbench.runlog.schema import Planned

RATE_RPS = 4.0


def ours(trap: Trap, port: int, folder: Path) -> Reading:
    schedule = [Planned(f"r{i}", round(i * 1e9 / RATE_RPS), 5, 16) for i in range(trap.n)]
    log = run(Target(f"http://127.0.0.1:{port}", "truth", api="chat"), schedule, ["hello"] * trap.n,
              folder / "run.parquet", collect("real"))
    outcomes, good = log.outcomes(), log.ok

    def mean(name: str) -> float:
        found = metrics.values(good, name)
        return float(np.nanmean(found)) if len(found) else float("nan")

    tokens = [row.output_tok or 0 for row in good.rows()]
    return Reading(outcomes["ok"], mean("ttft_s"), mean("tpot_s"), failed=trap.n - outcomes["ok"], e2e_s=mean("e2e_s"),
                   most_gap_s=float(metrics.values(good, "stall_s").max()), output_tok=sum(tokens) / len(tokens))


def theirs(client: Client, program: Path, trap: Trap, port: int, folder: Path) -> Reading | str:
    load = Load(port, trap.n, RATE_RPS, None, TOKENIZER, folder, chat=True)
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"} if client.offline else {}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(program), *client.arguments(load)], stdout=log, stderr=log, cwd=folder,
                                   start_new_session=True, env={**os.environ, **TELEMETRY_OFF, **offline})
        code, _ = waited(process)
    try:
        return client.read(load)
    except (OSError, KeyError, TypeError, ValueError, IndexError) as error:
        return f"exit code {code}, no result: {type(error).__name__}: {error}"


def judged(trap: Trap, found: Reading | str) -> tuple[str, bool | None]:
    """(what it says, whether that is right); None where it says nothing of it."""
    if isinstance(found, str):
        return "failed", False
    said = getattr(found, trap.figure)
    if said is None:
        return "-", None
    return shown(trap, said), abs(said - trap.truth) <= trap.slack


def shown(trap: Trap, value: float) -> str:
    return f"{value * 1e3:.1f} ms" if trap.figure.endswith("_s") else f"{value:g}"


def all_traps(client: Client, program: Path, server: TrapServer, folder: Path) -> list[dict[str, Any]]:
    found = []
    for trap in TRAPS:
        server.trap, server.asked = trap, 0
        emptied(folder)
        said = (ours(trap, server.port, folder) if client is CLIENTS[0]
                else theirs(client, program, trap, server.port, folder))
        text, right = judged(trap, said)
        verdict = said if isinstance(said, str) else {True: "right", False: "wrong", None: "not said"}[right]
        print(f"  {client.name}: {trap.name}: {trap.figure} {text}, true {shown(trap, trap.truth)}: {verdict}",
              file=sys.stderr, flush=True)
        found.append({"trap": trap.name, "figure": trap.figure, "truth": trap.truth, "said": text, "right": right,
                      "reading": asdict(said) if isinstance(said, Reading) else said})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", type=Path, help="folder of environments, one a client")
    parser.add_argument("--only", help="clients, comma between")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    wanted = set(given.only.split(",")) if given.only else {client.name for client in CLIENTS}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, trapping() as server:
        for client in CLIENTS:
            place = installed(client, given.envs or Path(name)) if client.name in wanted else None
            if place is not None:
                found[client.name] = {"version": place[1],
                                      "traps": all_traps(client, place[0], server, Path(name) / "run")}
    if given.json:
        json.dump(found, sys.stdout, indent=1)
        print()
        return
    print("| trap | figure | truth | " + " | ".join(f"{key} {item['version']}" for key, item in found.items()) + " |")
    print("|---|---|---|" + "---|" * len(found))
    for i, trap in enumerate(TRAPS):
        cells = (item["traps"][i]["said"] + (" **x**" if item["traps"][i]["right"] is False else "")
                 for item in found.values())
        print(f"| {trap.name} | {trap.figure} | {shown(trap, trap.truth)} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
