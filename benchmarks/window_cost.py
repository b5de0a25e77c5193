"""What the release window costs in fairness and throughput, as a figure and a table.

    python benchmarks/window_cost.py --out docs/control
    python benchmarks/window_cost.py --scenario mine.toml --orders wfq,fifo --windows 4,16,none --replications 5

Writes window_cost.svg, and window_cost.json with every figure and interval; prints the table and the answer.
"""

import argparse
from pathlib import Path

from workbench import paths
from workbench.cli.replications import shown
from workbench.figures.static import render
from workbench.files import write_json, write_text
from workbench.flows.executor import Where
from workbench.flows.window_cost import FAIR, PLAIN, WINDOWS, chart, sentence, tables, window_cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", type=Path, default=paths.data("scenarios") / "plane" / "multi_tenant.toml")
    parser.add_argument("--windows", default=",".join(WINDOWS))
    parser.add_argument("--orders", default=f"{FAIR},{PLAIN}", help="the first is the one that is explained")
    parser.add_argument("--replications", type=int, default=10)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--out", type=Path, default=Path())
    asked = parser.parse_args()
    with shown("replications") as on_done:
        found = window_cost(asked.scenario, asked.windows.split(","), orders=asked.orders.split(","),
                            replications=asked.replications, where=Where(asked.workers), on_done=on_done)
    write_text(asked.out / "window_cost.svg", render(chart(found)).decode())
    write_json(asked.out / "window_cost.json", found)
    print("\n\n".join(one.as_markdown() for one in tables(found)))
    print(sentence(found))


if __name__ == "__main__":
    main()
