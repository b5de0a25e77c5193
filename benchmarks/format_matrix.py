"""The format matrix, by trying: `python benchmarks/format_matrix.py [--only NAME ...]`; about 20 minutes on 2 cores.

Needs the environments of the methods and engines that are to be tried; what is not here is marked so. Rows of formats
that are not named in --only stay as they were.
"""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.files import write_json
from workbench.flows import formats_try
from workbench.flows.formats import matrix
from workbench.models import quantise
from workbench.models.perplexity import mean_nats, perplexity
from workbench.paths import cache, datasets
from workbench.runlog.provenance import Machine


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=None, help="methods to try, and nothing else but the conversions")
    asked = parser.parse_args()
    names = list(quantise.METHODS) if asked.only is None else asked.only
    folder = cache() / "formats"
    folder.mkdir(exist_ok=True)
    whole = asked.only is None
    rows = [row for row in matrix()["rows"] if row["format"] not in names and not (whole and _plain(row))]
    rows += formats_try.try_plain(say) if whole else []
    scratch = folder / f"conversions-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    scratch.mkdir()
    conversions = formats_try.try_conversions(scratch)
    for name in names:
        say(f"== {name}")
        rows += formats_try.try_method(name, folder, say)
        write(rows, conversions)  # at once: what is tried stays, whatever happens to the next
    write(rows, conversions)
    say("datasets/formats/matrix.json is written; `workbench docs build` puts it into the page")
    return 0


def write(rows: list[dict[str, Any]], conversions: list[dict[str, Any]]) -> None:
    order, ranks = formats_try.Order("tiny", quantise.find("F16"), Path("x.gguf")), list(quantise.METHODS)
    rows.sort(key=lambda row: (ranks.index(row["format"]) if row["format"] in ranks else -1, row["engine"]))
    machine = Machine.here()
    write_json(datasets() / "formats" / "matrix.json", {
        "schema": 1, "made_at_utc": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": f"{machine.cpu}, {machine.cores} cores",
        "original": round(perplexity(mean_nats(order.folder.arch, order.folder.tensors, order.probe.ids)), 6),
        "tokens": sum(len(row) - 1 for row in order.probe.ids), "seed": order.probe.seed, "rows": rows,
        "conversions": conversions,
    })


def _plain(row: dict[str, object]) -> bool:
    return row["form"] != "GGUF" and row["format"] in ("F16", "F32")


if __name__ == "__main__":
    raise SystemExit(main())
