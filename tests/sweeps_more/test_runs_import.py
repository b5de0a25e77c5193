"""`runs import`: all or nothing, and nothing that leads elsewhere."""

import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import UsageError, WorkbenchError
from workbench.flows.runs_archive import safe_name
from workbench.flows.runs_import import import_runs
from workbench.runlog.provenance import collect
from workbench.runlog.schema import Row
from workbench.runlog.table import RunLog, read, write

CONFIG = "rate = 4\n"
MIB = 2**20


def sweep_folder(top: Path) -> Path:
    """One point with its log, and the list of hashes that a rented machine leaves."""
    row = Row(request_id="a", prompt_tok=5, output_tok=2, sent_ns=1, first_token_ns=2, last_token_ns=3, end_ns=4,
              outcome="ok")
    point = top / "sweep" / "points" / "p1"
    point.mkdir(parents=True)
    write(RunLog.from_rows(collect("real", config_text=CONFIG, engine="vllm"), [row]), point / "run.parquet")
    (point / "point.json").write_text('{"id": "p1"}\n')
    sums(top / "sweep")
    return top / "sweep"


def sums(folder: Path) -> None:
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(folder)}"
             for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "SHA256SUMS"]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")


def tarred(folder: Path, target: Path) -> Path:
    with tarfile.open(target, "w:gz") as packed:
        packed.add(folder, folder.name)
    return target


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder.parent))
    return target


PACKERS: dict[str, Callable[[Path, Path], Path]] = {
    "s.tar.gz": tarred, "s.zip": zipped, "folder": lambda folder, _: folder,
}


@pytest.mark.parametrize("name", PACKERS)
def test_what_went_in_comes_out_with_where_it_came_from(name: str, tmp_path: Path) -> None:
    source = PACKERS[name](sweep_folder(tmp_path), tmp_path / name)
    found = import_runs(source, tmp_path / "in")
    logs = list((tmp_path / "in").rglob("run.parquet"))
    assert len(logs) == found["logs"] == 1
    assert read(logs[0]).provenance.engine == "vllm"
    about = json.loads((tmp_path / "in" / "import.json").read_text())
    assert about["verified_by"].endswith("SHA256SUMS")
    assert about["from"] == source.name
    if source.is_file():
        assert about["archive_sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    for inside, digest in about["sha256"].items():
        assert hashlib.sha256((tmp_path / "in" / inside).read_bytes()).hexdigest() == digest
    again = import_runs(tmp_path / "in", tmp_path / "twice")
    assert again["earlier"]["from"] == source.name  # the chain is kept


def refused(source: Path, tmp_path: Path, match: str, **more: object) -> None:
    """With nothing left behind."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(WorkbenchError, match=match):
        import_runs(source, tmp_path / "in", **more)  # type: ignore[arg-type]
    assert sorted(tmp_path.rglob("*")) == before


def one_member(target: Path, member: tarfile.TarInfo, content: bytes = b"{}") -> Path:
    with tarfile.open(target, "w") as packed:
        member.size = len(content) if member.isreg() else 0
        packed.addfile(member, io.BytesIO(content))
    return target


@pytest.mark.parametrize("name", ["/etc/x.json", "../x.json", "a/../../x.json", "a\\x.json", "c:x.json", "x\n.json"])
def test_names_that_lead_elsewhere_are_refused(name: str, tmp_path: Path) -> None:
    refused(one_member(tmp_path / "a.tar", tarfile.TarInfo(name)), tmp_path, "nothing was imported")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(name, "{}")
    if name != "a\\x.json" or os.sep == "/":
        refused(tmp_path / "a.zip", tmp_path, "nothing was imported")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo("run.json")
    member.type, member.linkname = kind, "other.json"
    refused(one_member(tmp_path / "a.tar", member), tmp_path, "a link, a device")


def test_a_link_in_a_zip_and_in_a_folder_is_refused(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("run.json")
    member.external_attr = (0o120777 << 16)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(member, "/etc/passwd")
    refused(tmp_path / "a.zip", tmp_path, "a link")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "run.json").symlink_to("/etc/passwd")
    refused(folder, tmp_path, "a link")


def test_a_bomb_is_stopped_while_it_grows(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x.json", bytes(30 * MIB))
    assert (tmp_path / "a.zip").stat().st_size < MIB
    refused(tmp_path / "a.zip", tmp_path, "grows beyond", max_bytes=8 * MIB)


def test_what_does_not_hash_is_refused(tmp_path: Path) -> None:
    folder = sweep_folder(tmp_path)
    refused(tarred(folder, tmp_path / "s.tar.gz"), tmp_path, "its sha256 is", sha256="0" * 64)
    (folder / "points/p1/point.json").write_text('{"id": "p2"}\n')
    refused(folder, tmp_path, "point.json.*does not hash")
    sums(folder)
    (folder / "points/p1/more.json").write_text("{}")
    refused(folder, tmp_path, "more.json.*not named")
    sums(folder)
    (folder / "points/p1/more.json").unlink()
    refused(folder, tmp_path, "more.json.*missing")


def test_a_log_whose_configuration_was_changed_is_refused(tmp_path: Path) -> None:
    folder = sweep_folder(tmp_path)
    path = folder / "points/p1/run.parquet"
    log = read(path)
    write(replace(log, provenance=replace(log.provenance, config_text="rate = 5\n")), path)
    sums(folder)
    refused(folder, tmp_path, "configuration does not hash")


def test_a_cut_archive_and_a_stranger_are_refused(tmp_path: Path) -> None:
    whole = tarred(sweep_folder(tmp_path), tmp_path / "s.tar.gz").read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path / "cut.tar.gz", tmp_path, "cut.tar.gz")
    (tmp_path / "words.tar").write_text("hello")
    refused(tmp_path / "words.tar", tmp_path, "no tar or zip")
    stranger = tmp_path / "f"
    stranger.mkdir()
    (stranger / "run.parquet").write_bytes(b"PAR1")
    refused(stranger, tmp_path, "not a run log")


@given(st.text(min_size=1, max_size=30))
def test_a_name_that_is_let_through_stays_inside(name: str) -> None:
    try:
        kept = safe_name(name, "t")
    except UsageError:
        return
    assert Path(os.path.normpath(Path("/top") / kept)).is_relative_to("/top")
    assert safe_name(kept, "t") == kept
