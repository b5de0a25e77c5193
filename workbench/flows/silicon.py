"""From the names a person gives to a silicon profile in a file."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from workbench.profile.profile import Parallel, Profile, write
from workbench.profile.silicon.build import build
from workbench.profile.silicon.database import package_folder
from workbench.profile.silicon.setup import setup


def make(
    model: str, gpu: str, out: Path, *, split: Mapping[str, int], engine: str = "vllm", quant: str = "bf16",
    kv_type: str = "bf16",
) -> Profile:
    """Raises UsageError for what the database does not know or what does not fit, Failure where it is not installed."""
    parallel = Parallel(**split)
    asked = setup(package_folder(), model, gpu, engine=engine, quant=quant, kv_type=kv_type, parallel=parallel)
    found = build(asked, f"{datetime.now(UTC):%Y-%m-%d}")
    write(found, out)
    return found
