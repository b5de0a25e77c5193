"""What the policy benchmarks share: measure each policy, print operations per CPU-second."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict

from workbench.runlog.provenance import Machine


def main(about: str | None, names: Iterable[str], measure: Callable[[str, int], float]) -> None:
    """`measure(name, operations)` gives operations per CPU-second of this process."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=200_000)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    asked = parser.parse_args()
    if asked.operations < 1:
        parser.error("operations must be at least 1")
    found = {name: measure(name, asked.operations) for name in names}
    if asked.json:
        print(json.dumps({"operations_per_cpu_s": found, "operations": asked.operations,
                          "machine": asdict(Machine.here()), "python": sys.version.split()[0]}))
    else:
        for name, rate in found.items():
            print(f"{name:28} {rate:12,.0f} operations per CPU-second")
