"""What a plan may know of quality: the share of the unquantised score that a profile's weights and KV type keep."""

from collections.abc import Callable
from pathlib import Path

from workbench.errors import UsageError
from workbench.paths import datasets
from workbench.profile.profile import Profile
from workbench.quality.table import read, retained

SHIPPED = "tiny_world.csv"
QualityOf = Callable[[Profile], float | None]


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

    def kept(profile: Profile) -> float | None:
        about = profile.subject
        return retained(rows, task, about.weights_id, about.kv_type)

    return kept
