"""Downloads from a hub of our own: pinned, hashed, gone on with, and never a pickle."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import COMMIT, Hub, serve

from workbench.errors import Failure, UsageError
from workbench.models import hub as client
from workbench.models import provenance
from workbench.models.folder import open_folder
from workbench.models.shipped import shipped_folder


def shipped_files() -> dict[str, bytes]:
    names = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
    return {name: (shipped_folder() / name).read_bytes() for name in names}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    more = {"pytorch_model.bin": b"cos\nsystem", "modeling.py": b"1", "README.md": b"---\nlicense: mit\n---\n"}
    with serve(Hub(shipped_files() | more)) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield running


def test_weights_arrive_hashed_and_pinned_without_pickles_and_code(hub: Hub, tmp_path: Path) -> None:
    remote = client.look("owner/name")
    assert (remote.commit, remote.licence) == (COMMIT, "apache-2.0")
    told = client.fetch(remote, tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {*shipped_files(), "README.md", provenance.IN_FOLDER}
    assert told.source["revision"] == COMMIT
    assert open_folder(tmp_path / "model").arch.params == 2_033_408
    assert not list(tmp_path.glob(".model*"))


def test_a_broken_transfer_is_gone_on_with(hub: Hub, tmp_path: Path) -> None:
    """The client keeps what came in pieces of 10 MB, and asks for the rest by itself."""
    hub.files["big.gguf"] = bytes(range(256)) * 96_000  # 24 MB
    hub.cut = {"big.gguf"}
    told = client.fetch(client.look("owner/name", only="*.gguf"), tmp_path / "model")
    asked = [int(name.split("@")[1]) for name in hub.served if name.startswith("big.gguf")]
    assert asked == [0, 10 << 20]
    assert told.bytes == 256 * 96_000
    assert (tmp_path / "model/big.gguf").read_bytes() == hub.files["big.gguf"]


def test_after_an_interruption_what_is_there_is_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    hub.spoilt = {"tokenizer.json"}
    with pytest.raises(Failure, match="run it again"):
        client.fetch(client.look("owner/name"), tmp_path / "model")
    hub.spoilt, before = set(), list(hub.served)
    client.fetch(client.look("owner/name"), tmp_path / "model")
    assert "config.json@0" in before
    assert "config.json@0" not in hub.served[len(before):]
    assert open_folder(tmp_path / "model").arch.params == 2_033_408


def test_other_bytes_than_announced_are_refused(hub: Hub, tmp_path: Path) -> None:
    hub.spoilt = {"model.safetensors"}
    with pytest.raises(Failure, match=r"model\.safetensors is not what the hub announced"):
        client.fetch(client.look("owner/name"), tmp_path / "model")
    assert not (tmp_path / "model").exists()
    hub.spoilt = {"config.json"}
    with pytest.raises(Failure, match=r"config\.json is not what the hub announced"):
        client.fetch(client.look("owner/name"), tmp_path / "other")


def test_files_of_two_revisions_are_not_mixed(hub: Hub, tmp_path: Path) -> None:
    part = tmp_path / ".model.part"
    part.mkdir()
    (part / ".commit").write_text("f" * 40)
    (part / "stale.safetensors").write_bytes(b"x")
    client.fetch(client.look("owner/name"), tmp_path / "model")
    assert not (tmp_path / "model" / "stale.safetensors").exists()


@pytest.mark.parametrize(("status", "said"), [(401, "HF_TOKEN"), (403, "HF_TOKEN"), (500, "HTTP 500")])
def test_what_the_hub_refuses_is_one_line(status: int, said: str, hub: Hub) -> None:
    hub.status = status
    with pytest.raises(Failure, match=said):
        client.look("owner/name")


def test_what_is_not_there_is_said(hub: Hub) -> None:
    with pytest.raises(UsageError, match="no such model"):
        client.look("owner/other")
    with pytest.raises(UsageError, match=r"no \*Q4_K_M\.gguf"):
        client.look("owner/name", only="*Q4_K_M.gguf")
    del hub.files["model.safetensors"]
    with pytest.raises(UsageError, match="its weights are pickled, and those are not fetched"):
        client.look("owner/name")


@pytest.mark.parametrize("name", ["../x", "a", "a/b/c", "/etc/passwd", "a/..", "a b/c"])
def test_an_id_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="OWNER/NAME"):
        client.look(name)


def test_a_name_that_leads_out_of_the_folder_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.files["../evil.json"] = b"{}"
    with pytest.raises((UsageError, Failure)):
        client.fetch(client.look("owner/name"), tmp_path / "deep" / "model")
    assert not list(tmp_path.rglob("evil.json"))


def test_without_a_hub_the_line_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Failure, match="HF_ENDPOINT"):
        client.look("owner/name")
