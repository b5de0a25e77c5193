"""A profile's times as CSV: what a spreadsheet or another program can read."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench import files, paths
from workbench.profile.listing import axes, decode_rows, prompt_rows
from workbench.profile.profile import Profile


def export(profile: Profile, folder: Path) -> list[Path]:
    """`decode.csv` and `prefill.csv` in a new folder; every row says its source and whether it was measured there."""
    paths.refuse_used(folder)
    decodes, contexts = axes(profile)
    prompts = tuple(2**i for i in range(4, max(9, _top(profile, "prefill_tok").bit_length())))
    pasts = (0, *(tok for tok in contexts if tok >= 512)) if _top(profile, "prefill_past_max_tok") else (0,)
    tables = {"decode.csv": decode_rows(profile, decodes, contexts),
              "prefill.csv": prompt_rows(profile, prompts, pasts)}
    for name, rows in tables.items():
        files.write_text(folder / name, as_csv(rows, profile.source))
    return [folder / name for name in tables]


def as_csv(rows: Sequence[Mapping[str, Any]], source: str) -> str:
    """Numbers, and words of ours: nothing that a spreadsheet would run."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[0], "source"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "source": source} for row in rows)
    return text.getvalue()


def _top(profile: Profile, field: str) -> int:
    bounds = profile.ranges.bounds.get(field)
    return bounds.high if bounds is not None else 0
