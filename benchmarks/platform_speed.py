"""How fast the whole platform is simulated: requests per CPU-second, peak memory, and whether cost grows linearly.

    python benchmarks/platform_speed.py --requests 50000,100000,200000 --json

The platform scenario (four tenants, 16 replicas, every part of the control plane on), its workloads as long as needed
for so many requests; the run log is made, the journal is not kept. CPU time of one process a size; reading the scenario
and drawing the workload are counted apart.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sims.plane.scenario import PlaneCase, PlaneScenario
from workbench.paths import data
from workbench.runlog.provenance import Machine

SCENARIO = "plane/platform.toml"
LIMIT_S, LIMIT_MB = 60.0, 1000.0  # of 200,000 requests


def longer(case: PlaneCase, requests: int) -> PlaneCase:
    """The same for as long as it takes to send so many, to a hundredth: rates, tenants and what happens stay."""
    while abs(len(case.draw(1)) / requests - 1) > 0.01:
        raw, factor = case.scenario.model_dump(exclude_unset=True), requests / len(case.draw(1))
        for one in raw["workloads"]:
            one["duration_s"] *= factor
        case = PlaneCase(case.text, PlaneScenario.model_validate(raw), case.profile, case.rules, case.base)
    return case


def measure(requests: int) -> dict[str, Any]:
    case = longer(PlaneCase.load(data("scenarios") / SCENARIO), requests)
    begun = time.process_time()
    case.draw(1)
    drawing_s = time.process_time() - begun
    begun = time.process_time()
    found = case.run(1, keep_journal=False)
    cpu_s = time.process_time() - begun - drawing_s  # it draws once more
    return {
        "requests": len(found.log), "cpu_s": round(cpu_s, 2), "requests_per_cpu_s": round(len(found.log) / cpu_s),
        "us_per_request": round(cpu_s / len(found.log) * 1e6), "drawing_s": round(drawing_s, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), "mode": found.mode,
        "iterations": sum(found.iterations), "events": found.events, "simulated_s": round(found.stop_ns / 1e9),
        "outcomes": found.log.outcomes(),
    }


def apart(requests: int) -> dict[str, Any]:
    """In a process of its own, so that the peak is its own."""
    done = subprocess.run([sys.executable, __file__, "--one", str(requests)], check=True, capture_output=True,
                          text=True, cwd=Path.cwd())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", default="50000,100000,200000", help="sizes, with commas between")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        json.dump(measure(given.one), sys.stdout)
        return
    runs = [apart(int(size)) for size in given.requests.split(",")]
    linear = runs[-1]["us_per_request"] / runs[0]["us_per_request"]
    machine = asdict(Machine.here())
    if given.json:
        json.dump({"runs": runs, "largest_over_smallest_per_request": round(linear, 3), "machine": machine}, sys.stdout)
        return
    for one in runs:
        print(f"{one['requests']:>9,} requests {one['cpu_s']:>7.1f} CPU-s {one['requests_per_cpu_s']:>7,} a CPU-s "
              f"{one['us_per_request']:>5} us each {one['peak_mb']:>5} MB  {one['mode']}, "
              f"{one['iterations']:,} iterations")
    print(f"a request of the largest run costs {linear:.2f} times as much as one of the smallest")
    print(machine)


if __name__ == "__main__":
    main()
