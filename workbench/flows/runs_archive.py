"""Files out of an archive or a folder that somebody else packed: plain files with plain names, and not without end."""

import contextlib
import hashlib
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from workbench.errors import Failure, UsageError

MAX_BYTES = 4 * 2**30  # of everything unpacked, unless more is allowed
MAX_FILES = 100_000
MAX_NAME_CHARS = 240
PIECE_BYTES = 1 << 20
_ZIP_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class Item:
    """One file: its name inside, checked, and its content, to be read before the next item is asked for."""

    name: str
    content: IO[bytes]


@contextlib.contextmanager
def opened(source: Path) -> Iterator[Iterator[Item]]:
    """Every file of a folder, a tar (also gz, bz2, xz) or a zip. Raises UsageError on a link, a device, an absolute
    name, a name that leads out, and a name that comes twice."""
    try:
        if source.is_symlink():
            raise UsageError(f"{source}: is a link; name what it leads to")
        if source.is_dir():
            yield _checked(_folder(source), source.name)
        elif not source.exists():
            raise UsageError(f"{source}: no such archive or folder")
        elif zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as packed:
                yield _checked(_zip(packed, source.name), source.name)
        else:
            with tarfile.open(source, "r:*") as taken:
                yield _checked(_tar(taken, source.name), source.name)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        raise UsageError(f"{source.name}: no tar or zip that can be read to its end: {error}") from error


def safe_name(name: str, where: str) -> str:
    """The name with forward slashes and without `./`; raises UsageError where it could lead elsewhere."""
    parts = PurePosixPath(name).parts
    bad = (not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in name
           or not name.isprintable() or len(name) > MAX_NAME_CHARS)
    if bad:
        raise UsageError(f"{where}: {name[:80]!r}: absolute, leading out, or no plain name; nothing was imported")
    return str(PurePosixPath(*parts))


def _checked(items: Iterator[tuple[str, IO[bytes]]], where: str) -> Iterator[Item]:
    seen: set[str] = set()
    for raw, content in items:
        name = safe_name(raw, where)
        if name.casefold() in seen:
            raise UsageError(f"{where}: {name!r}: is in it twice; nothing was imported")
        seen.add(name.casefold())
        if len(seen) > MAX_FILES:
            raise UsageError(f"{where}: more than {MAX_FILES} files; nothing was imported")
        yield Item(name, content)


def _folder(top: Path) -> Iterator[tuple[str, IO[bytes]]]:
    for here, folders, files in os.walk(top):
        for name in sorted([*folders, *files]):
            path = Path(here, name)
            inside = path.relative_to(top).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                continue
            _plain(stat.S_ISREG(mode), inside, top.name)
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as content:
                yield inside, content


def _tar(packed: tarfile.TarFile, where: str) -> Iterator[tuple[str, IO[bytes]]]:
    for member in packed:
        if member.isdir():
            continue
        _plain(member.isreg() and not member.issparse(), member.name, where)
        content = packed.extractfile(member)
        assert content is not None  # a regular file has content
        with content:
            yield member.name, content


def _zip(packed: zipfile.ZipFile, where: str) -> Iterator[tuple[str, IO[bytes]]]:
    for member in packed.infolist():
        if member.is_dir():
            continue
        kind = stat.S_IFMT(member.external_attr >> 16)
        _plain(kind in (0, stat.S_IFREG), member.filename, where)
        if member.flag_bits & _ZIP_ENCRYPTED:
            raise UsageError(f"{where}: {member.filename!r}: is encrypted; unpack it and import the folder")
        with packed.open(member) as content:
            yield member.filename, content


def _plain(is_plain: bool, name: str, where: str) -> None:
    if not is_plain:
        raise UsageError(f"{where}: {name[:80]!r}: a link, a device or a sparse file; nothing was imported")


@dataclass(slots=True)
class Room:
    """What may still be written, in bytes; counted as it is written, whatever an archive says of its sizes."""

    left_bytes: int

    def copy(self, item: Item, target: Path, where: str) -> "Copied":
        """Raises UsageError where the room ends, Failure where the disk does."""
        digest, size = hashlib.sha256(), 0
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as handle:
                while piece := item.content.read(PIECE_BYTES):
                    self.left_bytes -= len(piece)
                    if self.left_bytes < 0:
                        raise UsageError(f"{where}: grows beyond the limit while {item.name!r} is unpacked; nothing was"
                                         " imported (--max-mib allows more)")
                    digest.update(piece)
                    size += len(piece)
                    handle.write(piece)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise UsageError(f"{where}: {item.name!r}: a file where another name needs a folder") from error
        except OSError as error:
            raise Failure(f"{item.name}: cannot be written: {error.strerror or error}; nothing was imported") from error
        return Copied(digest.hexdigest(), size)


@dataclass(frozen=True, slots=True)
class Copied:
    """What was written."""

    sha256: str
    size_bytes: int
