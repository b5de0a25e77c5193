"""A profile of a quantisation that was not benchmarked: another one's, by the ratio of their speeds.

The speeds are the quality table's output tokens per second, of one engine at one load. One ratio for everything is the
whole model, and the profile says so.
"""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.flows.quality_plan import stands_for
from workbench.paths import datasets
from workbench.profile.profile import Profile, Subject
from workbench.profile.scaled import scaled
from workbench.quality.table import QualityRow, mixes, read
from workbench.stats.estimate import ratio
from workbench.stats.intervals import Interval

SHIPPED = datasets() / "quality" / "tiny_world.csv"
PPM = 1_000_000  # the factor is kept in millionths, so that what is written is what was computed with
SPEED = "tok_per_s"


@dataclass(frozen=True, slots=True)
class Speeds:
    """Rows of the quantisation that was measured and of the one that is wanted."""

    base: QualityRow
    wanted: QualityRow

    @property
    def times(self) -> Interval:
        """How many times faster, with its 95 % interval; the mean alone where a row has one repeat."""
        return ratio(self.base.figures[SPEED], self.wanted.figures[SPEED])


def derive(base: Profile, quant: str, table: Path) -> Profile:
    """Raises UsageError where the table cannot say how much faster `quant` is."""
    if base.source != "measured":
        raise UsageError(f"the profile's source is {base.source}, not measured: make one of {quant} the same way "
                         f"(workbench profile {base.source if base.source != 'imported' else 'import'} --quant)")
    speeds = _speeds(read(table), base.subject, quant, table.name)
    times = speeds.times
    factor = Fraction(round(PPM / times.mean), PPM)
    wanted = speeds.wanted.words
    own = base.subject.model == wanted["model"] or not mixes(wanted["quant"])  # else nobody has made these weights
    subject = {**base.subject.model_dump(), "quant": wanted["quant"], "weights_id": wanted["weights_id"] if own else ""}
    return Profile(
        source="derived", subject=Subject(**subject), parallel=base.parallel, model=scaled(base.model, factor),
        ranges=base.ranges, kv_blocks=base.kv_blocks, block_tok=base.block_tok, overheads=base.overheads,
        rules=base.rules, provenance={"derived": _provenance(base, speeds, table, times, factor)},
        thin=(*_thin(base, speeds, table.name, times), *base.thin),
    )


def _speeds(rows: tuple[QualityRow, ...], about: Subject, quant: str, name: str) -> Speeds:
    mine = [row for row in rows if row.words["engine"] == about.engine and stands_for(row, about)]
    if not mine:
        raise UsageError(f"{name}: has no row of {about.model} {about.quant} on {about.engine or 'its engine'} with KV "
                         f"{about.kv_type}; `workbench quality report --speed ... --table` writes one")
    base = mine[0].words
    alike = {row.words["quant"].upper(): row for row in rows
             if all(row.words[key] == base[key] for key in ("model", "engine", "kv_type", "gpus"))}
    timed = [key for key, row in alike.items() if SPEED in row.figures]
    for key in (about.quant.upper(), quant.upper()):
        if key not in timed:
            raise UsageError(f"{name}: has no {SPEED} of {key} on {about.engine}; it has those of "
                             f"{', '.join(timed) or 'none'}")
    found = Speeds(alike[about.quant.upper()], alike[quant.upper()])
    if found.base is found.wanted:
        raise UsageError(f"the profile is of {about.quant} itself; nothing is to be derived")
    loads = [row.words["speed_of"] for row in (found.base, found.wanted)]
    if loads[0] != loads[1]:
        raise UsageError(f"{name}: the speed of {about.quant} is of {loads[0]!r}, that of {quant} of {loads[1]!r}: no "
                         "ratio between loads")
    return found


def _provenance(base: Profile, speeds: Speeds, table: Path, times: Interval, factor: Fraction) -> dict[str, Any]:
    """Both sources. `n` is of the ratio's smaller side; `low` and `high` are its 95 % interval."""
    def said(row: QualityRow) -> dict[str, Any]:
        found = row.figures[SPEED]
        return {"quant": row.words["quant"], "version": row.words["version"], SPEED: found.mean, "low": found.low,
                "high": found.high, "n": found.n, "beware": row.words["beware"]}

    return {
        "time_factor_ppm": int(factor * PPM), "times_faster": round(times.mean, 6), "low": round(times.low, 6),
        "high": round(times.high, 6), "n": times.n,
        "profile": {"sha256": base.sha256, "source": base.source, "quant": base.subject.quant,
                    "iterations_n": base.fit_report.n if base.fit_report else sum(base.ranges.regions.values()),
                    "started_at_utc": base.provenance.get("started_at_utc")},
        "speed": {"file": table.name, "sha256": hashlib.sha256(table.read_bytes()).hexdigest(),
                  "load": speeds.wanted.words["speed_of"], "base": said(speeds.base), "wanted": said(speeds.wanted)},
    }


def _thin(base: Profile, speeds: Speeds, table: str, times: Interval) -> tuple[str, ...]:
    old, new = base.subject.quant, speeds.wanted.words["quant"]
    ends = f"{times.low:.2f} to {times.high:.2f}, n {times.n}"
    spread = ends if times.low < times.high else f"n {times.n}, no spread"
    notes = [
        f"not measured: every time of the {old} profile, divided by {times.mean:.2f} ({spread}): how much faster {new} "
        f"was ({table}: {speeds.wanted.words['speed_of']})",
        "one ratio for prompts and for decodes of every batch: what wins alone may draw level in large batches",
        f"range and iterations are those that {old} was measured in",
    ]
    notes += [f"KV blocks are those beside {old}"] if base.kv_blocks else []
    versions = {row.words["version"] for row in (speeds.base, speeds.wanted)} - {base.subject.engine_version}
    notes += [f"the ratio is of {base.subject.engine} {', '.join(sorted(versions))}, the profile of "
              f"{base.subject.engine_version}"] if versions else []
    notes += [row.words["beware"] for row in (speeds.base, speeds.wanted) if row.words["beware"]]
    return tuple(dict.fromkeys(notes))
