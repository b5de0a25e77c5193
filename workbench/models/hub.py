"""A model from the hub: one revision, pinned to its commit; weights as safetensors or GGUF only; every file hashed.

The hub's own client does the transfer (HF_ENDPOINT and HF_TOKEN are its variables). What is half fetched lies in
`.NAME.part` and is gone on with; the folder appears under its name when every hash is right.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.models import provenance
from workbench.models.pickled import SUFFIXES
from workbench.models.provenance import Provenance
from workbench.paths import inside

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_REVISION = re.compile(r"[\w./-]{1,100}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
WEIGHTS = ("*.safetensors", "*.gguf")
BESIDE = ("*.json", "*.jinja", "tokenizer.model", "README.md", "LICENSE*", "NOTICE*", "USE_POLICY*")
OnFile = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Remote:
    """What the hub says of a revision. `sha256` of a file is "" where it is small and kept in git (`blob` then)."""

    name: str
    commit: str
    licence: str
    gated: bool
    files: tuple[RemoteFile, ...]

    @property
    def bytes(self) -> int:
        return sum(item.bytes for item in self.files)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    name: str
    bytes: int
    sha256: str
    blob: str


def look(name: str, revision: str = "main", only: str = "") -> Remote:
    """Ask the hub; UsageError for what is not there or holds no weights that are read here."""
    if not _ID.fullmatch(name):
        raise UsageError(f"{name!r} is no model's id; it has the form OWNER/NAME")
    if not _REVISION.fullmatch(revision):
        raise UsageError(f"--revision: {revision!r} is no branch, tag or commit")
    told = _asked(name, revision)
    if not isinstance(told.sha, str) or not _COMMIT.fullmatch(told.sha):
        raise Failure(f"{name}: the hub names no commit for {revision!r}; is HF_ENDPOINT right?")
    weights = (only,) if only else WEIGHTS
    chosen = tuple(_file(item) for item in told.siblings or ()
                   if any(fnmatch.fnmatchcase(item.rfilename, rule) for rule in (*weights, *BESIDE))
                   and Path(item.rfilename).suffix not in SUFFIXES)
    if not any(fnmatch.fnmatchcase(item.name, rule) for item in chosen for rule in weights):
        pickled = any(Path(item.rfilename).suffix in SUFFIXES for item in told.siblings or ())
        raise UsageError(f"{name}: no {' or '.join(weights)}"
                         + ("; its weights are pickled, and those are not fetched" if pickled else ""))
    card = told.card_data.to_dict() if told.card_data is not None else {}
    licence = card.get("license_name") or card.get("license") or "not stated"
    return Remote(name, told.sha, str(licence)[:60], bool(told.gated), chosen)


def _file(item: Any) -> RemoteFile:
    large = item.lfs.sha256 if item.lfs is not None else ""
    return RemoteFile(str(item.rfilename), int(item.size or 0), str(large or ""), str(item.blob_id or ""))


def _asked(name: str, revision: str) -> Any:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return HfApi(_endpoint()).model_info(name, revision=revision, files_metadata=True, timeout=30)
    except HfHubHTTPError as error:
        raise _refused(name, revision, error) from error
    except (_network(HfHubHTTPError), OSError, ValueError) as error:
        raise Failure(f"{name}: no hub there: {type(error).__name__}; HF_ENDPOINT names another") from error


def _endpoint() -> str | None:
    """Of now: the client reads the variable when it is imported."""
    return os.environ.get("HF_ENDPOINT") or None


def _network(error: type[Exception]) -> type[Exception]:
    """Base of every failed transfer in the HTTP library that the client is built on, whichever it is."""
    base = error.__mro__[1]
    return base if issubclass(base, Exception) else OSError


def _refused(name: str, revision: str, error: Any) -> Failure | UsageError:
    code = getattr(getattr(error, "response", None), "status_code", None)
    if code in (401, 403):
        return Failure(f"{name}: the hub wants a login (HTTP {code}): accept the model's terms on its page, then set "
                       "HF_TOKEN")
    if code == 404:
        return UsageError(f"{name}: no such model, or no revision {revision!r}")
    return Failure(f"{name}: the hub answers HTTP {code}")


def fetch(remote: Remote, out: Path, on_file: OnFile = lambda _name, _done, _total: None) -> Provenance:
    """Download what is missing, compare every hash, rename. Raises Failure naming the first file that is not right."""
    part = out.with_name(f".{out.name}.part")
    _forget_another(part, remote.commit)
    done = 0
    for item in remote.files:
        on_file(item.name, done, remote.bytes)
        path = inside(part, item.name)
        if not _right(path, item):
            _download(remote, item, part)
        if not _right(path, item):
            path.unlink(missing_ok=True)
            raise Failure(f"{remote.name}: {item.name} is not what the hub announced; run it again")
        done += item.bytes
    on_file("", done, remote.bytes)
    shutil.rmtree(part / ".cache", ignore_errors=True)
    (part / ".commit").unlink(missing_ok=True)
    told = _provenance(remote, part)
    provenance.write(part, told)
    part.rename(out)
    return told


def _forget_another(part: Path, commit: str) -> None:
    """Files of two revisions are never mixed."""
    mark = part / ".commit"
    if part.exists() and (not mark.is_file() or mark.read_text(encoding="utf-8") != commit):
        shutil.rmtree(part)
    part.mkdir(parents=True, exist_ok=True)
    mark.write_text(commit, encoding="utf-8")


def _download(remote: Remote, item: RemoteFile, part: Path) -> None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        hf_hub_download(remote.name, item.name, revision=remote.commit, local_dir=part, endpoint=_endpoint())
    except HfHubHTTPError as error:
        raise _refused(remote.name, remote.commit, error) from error
    except (_network(HfHubHTTPError), OSError, ValueError, RuntimeError) as error:
        raise Failure(f"{remote.name}: {item.name} did not come: {type(error).__name__}: {str(error)[:120]}; what is "
                      "there stays: run it again to go on") from error


def _right(path: Path, item: RemoteFile) -> bool:
    """By the sha256 of a large file, by git's own hash of a small one."""
    if not path.is_file() or (item.bytes and path.stat().st_size != item.bytes):
        return False
    if item.sha256:
        return provenance.sha256(path) == item.sha256
    return not item.blob or _git_hash(path) == item.blob


def _git_hash(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _provenance(remote: Remote, part: Path) -> Provenance:
    from importlib import metadata

    from workbench.runlog.provenance import now_utc

    files = provenance.hashes(part)
    size_bytes = sum(item.bytes for item in remote.files if item.name.endswith((".safetensors", ".gguf")))
    return Provenance(
        method="fetched", form="hub", bits_per_weight=0.0, bytes=size_bytes, params=0, weights_id="",
        source={"name": remote.name, "revision": remote.commit, "licence": remote.licence},
        library={"huggingface_hub": metadata.version("huggingface_hub")}, calibration=None, settings={}, files=files,
        made_at_utc=now_utc(),
    )
