"""The folder GPU/MODEL/bf16 of kernel tables: whether it is one, of which split and of which model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it ships no types

from workbench.errors import Failure, UsageError
from workbench.hardware.architecture import Architecture
from workbench.profile.kernels.same_model import contradiction, contradiction_of_sizes

WANTED = "name the folder GPU/MODEL/bf16 that holds tp1, tp2 ... with dense.csv, per_sequence.csv and attention.csv"


def check_folder(perf: Path, tp: int) -> Path:
    """`perf`/tpN; raises UsageError where it is not there, and says where the tables lie if that is near."""
    if not perf.is_dir():
        raise UsageError(f"{perf}: no such folder (--perf); {WANTED}")
    folder = perf / f"tp{tp}"
    if folder.is_dir():
        return folder
    known = sorted(int(item.name[2:]) for item in perf.glob("tp*") if item.is_dir() and item.name[2:].isdigit())
    if known:
        raise UsageError(f"{perf.name}: no tables for tensor parallelism {tp}; it has {known}")
    raise UsageError(f"{perf}: not a folder of kernel tables (--perf): {_right_one(perf)}; {WANTED}")


def _right_one(perf: Path) -> str:
    """Seen from one level too deep, or up to three levels too high."""
    if (perf / "dense.csv").is_file():
        return f"it lies inside the right one, {perf.absolute().parent}"
    below = [found for depth in (1, 2, 3) for found in perf.glob("*/" * depth + "tp*/dense.csv")]
    if not below:
        return "it holds no tp1"
    return f"the right one lies inside it, {min(below).parent.parent.relative_to(perf)}"


def check_model(perf: Path, architecture: Architecture) -> None:
    """Refuses the config.json of another model than the tables are of, where that is clear."""
    meta = read_meta(perf)
    name = str(meta.get("model") or perf.absolute().parent.name)
    why = contradiction(name, architecture) or contradiction_of_sizes(meta, architecture)
    if why:
        raise UsageError(f"{architecture.source}: not the model of the kernel tables, {name}: {why}; "
                         f"name the config.json of {name}")


def read_meta(perf: Path) -> Mapping[str, Any]:
    """What the profiler said of itself; a folder without it is read all the same."""
    path = perf / "meta.yaml"
    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path.name}: not readable as YAML: {str(error).splitlines()[0]}") from error
    return found if isinstance(found, dict) else {}
