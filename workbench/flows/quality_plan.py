"""What a plan may know of quality: the share of the unquantised score that a profile's weights and KV type keep.

A grown model counts as the one it grew from. Where every tensor has the same type their weights_id is one; mixes such
as Q4_K_M depend on the number of layers, so there the names join, and the plan says so beside the candidate.
"""

from pathlib import Path

from workbench.errors import UsageError
from workbench.flows.plan import Known, QualityOf
from workbench.paths import datasets
from workbench.profile.profile import Profile, Subject
from workbench.quality.table import QualityRow, least, mixes, read, retained

SHIPPED = "tiny_world.csv"


def asked_for(text: str | None, table: Path | None) -> tuple[float | None, QualityOf | None]:
    """`0.8`: a score of the user's own. `TASK=0.95`: the share of TASK's score kept, by the quality table."""
    if text is None:
        return None, None
    task, found, share = text.rpartition("=")
    try:
        least = float(share)
    except ValueError:
        raise UsageError(f"--min-quality {text!r}: give a number, or TASK=0.95") from None
    return least, of_task(task, table) if found else None


def of_task(task: str, table: Path | None) -> QualityOf:
    """The low end of the 95 % interval, on the engine that keeps least; None for weights that nobody measured."""
    rows = read(table or datasets() / "quality" / SHIPPED)
    retained(rows, task, "", "")  # an unknown task is said before any work

    def known(profile: Profile) -> Known | None:
        about = profile.subject
        kept = retained(rows, task, about.weights_id, about.kv_type)
        if kept is not None:
            return Known(kept)
        kept = least(rows, task, lambda row: grown_mix(row, about))
        mix = "mixes" if about.weights_id else "may mix"  # a derived profile's weights were never made
        return None if kept is None else Known(
            kept, f"quality is of {about.grown_from} {about.quant}, joined by name: {about.model} grew from it, and "
                  f"its {about.quant} {mix} other types of tensors")

    return known


def stands_for(row: QualityRow, about: Subject) -> bool:
    """Whether the row speaks of these weights: by their id, or as the mix of the model that they grew from."""
    return row.is_of(about.weights_id, about.kv_type) or grown_mix(row, about)


def grown_mix(row: QualityRow, about: Subject) -> bool:
    """The same mix of the model that this one grew from. Other quantisations would have its weights_id."""
    return bool(about.grown_from) and mixes(about.quant) and (
        row.words["model"], row.words["quant"].upper(), row.words["kv_type"]
    ) == (about.grown_from, about.quant.upper(), about.kv_type)
