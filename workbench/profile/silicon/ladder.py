"""The book's ladder of profiles that ship: `python -m workbench.profile.silicon.ladder` rebuilds them all.

Every setup that the database has and that fits is written; the others are named with their reason.
"""

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from workbench import paths
from workbench.errors import UsageError
from workbench.profile.profile import Parallel, Profile, read, write_shipped
from workbench.profile.silicon.build import build
from workbench.profile.silicon.database import package_folder
from workbench.profile.silicon.setup import SHORT_GPUS, Setup, setup

GPUS = ("l40s", "a100", "h100", "h200", "b200")
QUANTS = ("bf16", "fp8", "nvfp4")
DEGREES = (1, 2, 4, 8)
DENSE = {
    "llama-3.1-8b": "meta-llama/Llama-3.1-8B", "qwen3-32b": "Qwen/Qwen3-32B",
    "llama-3.1-70b": "meta-llama/Llama-3.1-70B", "llama-3.1-405b": "meta-llama/Llama-3.1-405B",
}
EXPERTS = {"qwen3-coder-480b-a35b": "Qwen/Qwen3-Coder-480B-A35B-Instruct"}  # experts whole on one GPU each
SMALL = "llama-3.1-8b"  # quantised it needs few GPUs: not beyond
SMALL_MAX_TP = 2


def name_of(short: str, gpu: str, quant: str, parallel: Parallel) -> str:
    experts = f"-ep{parallel.ep}" if parallel.ep > 1 else ""
    return f"{short}-{gpu}-tp{parallel.tp}{experts}-{quant}"


def ladder() -> Iterator[tuple[str, str, str, str, Parallel]]:
    """(name, model, GPU, quantisation, split) of every rung, whether or not it exists."""
    for short, model in (DENSE | EXPERTS).items():
        for gpu in GPUS:
            for quant in QUANTS:
                for degree in DEGREES:
                    if short == SMALL and quant != "bf16" and degree > SMALL_MAX_TP:
                        continue
                    split = Parallel(tp=degree, ep=degree if short in EXPERTS else 1)
                    yield name_of(short, gpu, quant, split), model, gpu, quant, split


def rung(package: Path, name: str) -> Setup:
    """The setup of one name of the ladder; raises UsageError for another name."""
    for known, model, gpu, quant, split in ladder():
        if known == name:
            return setup(package, model, SHORT_GPUS.get(gpu, gpu), quant=quant, parallel=split)
    raise UsageError(f"{name!r}: not a name of the ladder, such as {next(ladder())[0]}")


def same(a: Profile, b: Profile) -> bool:
    """Equal but for the day they were made."""
    def content(profile: Profile) -> Profile:
        return profile.model_copy(update={"provenance": profile.provenance | {"made_on": ""}})

    return content(a) == content(b)


def rebuild(folder: Path, made_on: str, only: str = "") -> Iterator[str]:
    """Write the profiles into `folder`, one line each for people; what did not change keeps its date."""
    package = package_folder()
    for name, *_ in ladder():
        if only not in name:
            continue
        target = folder / f"{name}.json"
        try:
            profile = build(rung(package, name), made_on)
        except UsageError as error:
            yield f"{name}: left out: {error}"
            continue
        if not target.is_file() or not same(read(target), profile):
            write_shipped(profile, target)
        yield f"{name}: {profile.kv_blocks} KV blocks, {target.stat().st_size} bytes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=paths.datasets() / "profiles" / "silicon")
    parser.add_argument("--only", default="", help="only names that contain this text")
    parser.add_argument("--date", default=f"{datetime.now(UTC):%Y-%m-%d}", help="the day to write down")
    given = parser.parse_args()
    for line in rebuild(given.out, given.date, given.only):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
