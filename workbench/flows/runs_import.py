"""`runs import`: results from another machine become runs here, with where they came from, or not at all.

`SHA256SUMS` (what `sha256sum` prints), where the archive has one, must name every file and hold for each; it is what a
rented machine writes last. A log whose configuration does not hash to what it says of itself is refused, too.
"""

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from workbench import paths
from workbench.errors import Failure, UsageError
from workbench.files import read_json, write_json
from workbench.flows.runs import list_paths
from workbench.flows.runs_archive import MAX_BYTES, Copied, Room, opened, safe_name
from workbench.runlog.provenance import now_utc
from workbench.runlog.table import read

KIND, SCHEMA = "workbench.import", 1
NOTE, SUMS = "import.json", "SHA256SUMS"
TAKEN = frozenset({".parquet", ".json", ".jsonl", ".toml", ".log", ".txt", ".csv", ".yaml", ".html"})
SHOWN_LEFT_OUT = 20
_SUM = re.compile(r"([0-9a-f]{64}) [ *](?:\./)?(.+)")


def default_folder(source: Path) -> Path:
    stem = re.sub(r"(\.tar)?\.(gz|bz2|xz|tgz|tar|zip)$", "", source.name)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip(".-") or "import"
    return paths.runs() / plain


def import_runs(
    source: Path, out: Path | None = None, *, sha256: str = "", max_bytes: int = MAX_BYTES
) -> dict[str, Any]:
    """Copied to `out` (default: runs/NAME) in one rename; what `import.json` there says.

    `sha256` is the archive's own, where it is known. Raises UsageError naming the file that was refused.
    """
    target = out or default_folder(source)
    paths.refuse_used(target)
    archive = _of_archive(source, sha256)
    temporary = target.with_name(f".{target.name}.importing")
    if temporary.exists():  # of an import that was killed
        shutil.rmtree(temporary)
    try:
        copied, left_out = _copy(source, temporary, max_bytes)
        verified = _against_sums(temporary, copied, source.name)
        logs = _read_logs(temporary, source.name)
        earlier = _earlier(temporary)
        about = {
            "kind": KIND, "schema": SCHEMA, "imported_at_utc": now_utc(), "from": source.name,
            "archive_sha256": archive, "verified_by": verified, "files": len(copied),
            "bytes": sum(item.size_bytes for item in copied.values()), "left_out": left_out, "logs": logs,
            **({"earlier": earlier} if earlier else {}),
            "sha256": {name: item.sha256 for name, item in sorted(copied.items())},
        }
        write_json(temporary / NOTE, about)
        if target.exists():
            target.rmdir()  # empty, as was checked
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return about | {"folder": paths.shown(target)}


def _of_archive(source: Path, expected: str) -> str | None:
    """The hash of the archive file; None for a folder."""
    if not source.is_file():
        if expected:
            raise UsageError(f"--sha256 goes with an archive; {source.name} is none")
        return None
    with source.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if expected and found != expected.strip().lower():
        raise UsageError(f"{source.name}: its sha256 is {found}, not {expected}; fetch it again")
    return found


def _copy(source: Path, into: Path, max_bytes: int) -> tuple[dict[str, Copied], list[str]]:
    copied: dict[str, Copied] = {}
    left_out: list[str] = []
    room = Room(max_bytes)
    with opened(source) as items:
        for item in items:
            name = Path(item.name)
            if name.suffix not in TAKEN and name.name != SUMS:
                left_out.append(item.name)
                continue
            copied[item.name] = room.copy(item, into / item.name, source.name)
    if not copied:
        raise UsageError(f"{source.name}: nothing in it that a run is made of ({', '.join(sorted(TAKEN))})")
    more = len(left_out) - SHOWN_LEFT_OUT
    return copied, left_out[:SHOWN_LEFT_OUT] + ([f"and {more} more"] if more > 0 else [])


def _against_sums(folder: Path, copied: dict[str, Copied], where: str) -> str | None:
    """Who vouches for the files: every SHA256SUMS for its own folder. None where there is none."""
    lists = [name for name in copied if Path(name).name == SUMS]
    for name in lists:
        base = Path(name).parent
        said = _sums(folder / name, where)
        for inside, expected in said.items():
            full = (base / inside).as_posix()
            if full not in copied:
                if Path(full).suffix in TAKEN:
                    raise UsageError(f"{where}: {full!r}: is named in {name} and missing; copy it again")
                continue
            if copied[full].sha256 != expected:
                raise UsageError(f"{where}: {full!r}: does not hash to what {name} says: changed or cut; copy it again")
        for full in copied:
            mine = Path(full).is_relative_to(base) and Path(full).name not in (SUMS, NOTE)
            if mine and Path(full).relative_to(base).as_posix() not in said:
                raise UsageError(f"{where}: {full!r}: is not named in {name}; leave it out, or write {SUMS} again")
    return ", ".join(lists) or None


def _sums(path: Path, where: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        hit = _SUM.fullmatch(line)
        if hit is None:
            raise UsageError(f"{where}: {path.name}:{number}: no line of sha256sum")
        found[safe_name(hit[2], where)] = hit[1]
    return found


def _read_logs(folder: Path, where: str) -> int:
    """How many run logs there are; each must be readable, and its configuration be the one it names."""
    logs = [path for path in list_paths(folder) if not _is_other(path)]
    for path in logs:
        try:
            about = read(path).provenance
        except Failure as error:
            raise UsageError(f"{where}: {path.relative_to(folder)}: {error}") from error
        if about.config_text and hashlib.sha256(about.config_text.encode()).hexdigest() != about.config_sha256:
            raise UsageError(f"{where}: {path.relative_to(folder)}: its configuration does not hash to its own"
                             " config_sha256; it was changed after the run")
    return len(logs)


def _is_other(path: Path) -> bool:
    """Tables beside a log that are none: second attempts and telemetry."""
    return path.name.startswith(("attempts", "telemetry"))


def _earlier(folder: Path) -> dict[str, Any]:
    """What an earlier import said of the same files: the chain is kept."""
    note = folder / NOTE
    if not note.is_file():
        return {}
    found = read_json(note)
    return {key: found.get(key) for key in ("from", "imported_at_utc", "archive_sha256")} \
        if isinstance(found, dict) else {}
