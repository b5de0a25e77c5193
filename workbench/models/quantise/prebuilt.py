"""A prebuilt llama.cpp from npm, for K-quants without a compiler: fetched only when asked for, checked, unpacked."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from workbench.errors import Failure, UsageError
from workbench.models.quantise.llama_tool import prebuilt_folder

PACKAGE = "@node-llama-cpp/linux-x64@3.22.1"  # llama.cpp v0.5.0, MIT; built for Linux on x86-64
ARCHIVE_SHA256 = "0d953e1503d5ab4608d8ed5b739132308c81ac05ffeb760d2a7f30e08a9f90e0"
ARCHIVE_BYTES, UNPACKED_BYTES = 10_824_547, 31_000_000
FETCH_S = 600.0
_INSIDE = "package/bins/linux-x64/"


def announcement() -> str:
    """What will be fetched, to be said before it is."""
    return (f"fetching {PACKAGE} by npm: {ARCHIVE_BYTES / 1e6:.0f} MB, {UNPACKED_BYTES / 1e6:.0f} MB on disk, "
            "for llama.cpp's quantiser")


def fetch() -> Path:
    """Download by npm's own client, check the archive's hash, unpack its libraries; the folder is whole or absent."""
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError("npm is not on the PATH; install Node.js, or put llama-quantize on the PATH")
    target = prebuilt_folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as scratch:
        done = subprocess.run([npm, "pack", "--silent", PACKAGE], cwd=scratch, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=FETCH_S)
        archives = sorted(Path(scratch).glob("*.tgz"))
        if done.returncode or not archives:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no file came"]
            raise Failure(f"{PACKAGE}: npm did not bring it: {said[0][:200]}")
        unpack(archives[0], Path(scratch) / "libraries", ARCHIVE_SHA256)
        if target.exists():
            shutil.rmtree(target)
        os.rename(Path(scratch) / "libraries", target)
    return target


def unpack(archive: Path, folder: Path, sha256: str) -> None:
    """The libraries of the archive, refused when it is not the one that was pinned. No links, no paths."""
    with archive.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != sha256:
        raise Failure(f"{archive.name}: its sha256 is {found[:16]}..., {sha256[:16]}... was pinned; it was not used")
    folder.mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.removeprefix(_INSIDE)
            if not member.isreg() or member.name == name or "/" in name or ".so" not in name:
                continue
            source = tar.extractfile(member)
            assert source is not None
            with source, (folder / name).open("wb") as out:
                shutil.copyfileobj(source, out)
