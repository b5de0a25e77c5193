"""Where llama.cpp's quantiser is: llama-quantize on the PATH, llama-cpp-python as built, or a prebuilt library."""

from __future__ import annotations

import hashlib
import os
import shutil
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workbench.errors import Failure, UsageError
from workbench.paths import environments, inside

PREBUILT = "llama-quantise"  # its folder among the environments
REMEDY = ("none is here: `workbench quantise MODEL --to METHOD --fetch` gets a prebuilt library (11 MB, by npm), "
          "`workbench engines install llama-cpp-python` builds one, or put llama-quantize on the PATH")


@dataclass(frozen=True, slots=True)
class Tool:
    """A quantiser; `version` holds the hash of its file, for a program does not say which it is."""

    kind: Literal["program", "library"]
    path: Path
    label: str

    @property
    def version(self) -> str:
        with self.path.open("rb") as handle:
            return f"{self.label} {hashlib.file_digest(handle, 'sha256').hexdigest()[:12]}"


def find() -> Tool:
    """The first that is here; UsageError says how to get one."""
    found = next(_there(), None)
    if found is None:
        raise UsageError(f"K-quants need llama.cpp's quantiser, and {REMEDY}")
    return found


def available() -> bool:
    return next(_there(), None) is not None


def _there() -> Iterator[Tool]:
    named = os.environ.get("WORKBENCH_LLAMA_QUANTIZE", "")
    program = named or shutil.which("llama-quantize")
    if program:
        path = Path(program).resolve()
        if not path.is_file():
            raise Failure(f"WORKBENCH_LLAMA_QUANTIZE: {named}: no such file")
        yield Tool("program", path, "llama-quantize")
    here = Path(sysconfig.get_path("purelib"))
    built = sorted((environments() / "llama-cpp-python").glob("lib/python3.*/site-packages"))
    for site in (here, *built):
        library = site / "llama_cpp" / "lib" / "libllama.so"
        if library.is_file():
            yield Tool("library", library, "llama-cpp-python")
    fetched = sorted(prebuilt_folder().glob("libllama.*so"))
    if fetched:
        yield Tool("library", fetched[0], "node-llama-cpp")


def prebuilt_folder() -> Path:
    return inside(environments(), PREBUILT)
