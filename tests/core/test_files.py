"""Nothing half-written under a final name; nothing outside its folder; no secret in kept text."""

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import files, paths
from workbench.errors import Failure, UsageError
from workbench.redact import redact, secret_id


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    files.write_json(target, {"a": 1})
    with pytest.raises(ZeroDivisionError), files.atomic(target) as temporary:
        temporary.write_text(f"half {1 / 0}")
    with pytest.raises(Failure, match=r"a.json: cannot be written: No space left"), files.atomic(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert json.loads(target.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_json_is_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "nan.json", float("nan"))
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(Failure, match=r"bad.json: not valid JSON"):
        files.read_json(tmp_path / "bad.json")
    with pytest.raises(Failure, match="no such file"):
        files.read_json(tmp_path / "none.json")


@pytest.mark.parametrize("name", ["..", "../x", "/etc/passwd", "a/../../b"])
def test_names_stay_inside(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="leads out of"):
        paths.inside(tmp_path, name)
    assert paths.inside(tmp_path, "a/b") == (tmp_path / "a" / "b").resolve()


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError):
        paths.inside(tmp_path / "box", "link/x")


def test_where_things_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (paths.datasets().parent / "pyproject.toml").is_file()
    assert paths.data("scenarios").parts[-2:] == ("sims", "scenarios")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.cache() == tmp_path / ".cache" / paths.PROJECT
    monkeypatch.chdir(tmp_path)
    assert paths.runs() == tmp_path / "runs"
    assert paths.reports() == tmp_path / "reports"
    assert paths.shown(tmp_path / "runs" / "x") == "runs/x"
    assert paths.shown(Path("/somewhere/else.txt")) == "else.txt"


CANARY = "sk-canary0123456789abcdef"


@pytest.mark.parametrize("text", [
    f"api_key = '{CANARY}'", f"Authorization: Bearer {CANARY}", f"key {CANARY} in a sentence",
    f'{{"openai_api_key": "{CANARY}"}}', f"https://user:{CANARY}@host/x", f"password={CANARY}",
])
def test_secrets_become_ids(text: str) -> None:
    clean = redact(text)
    assert CANARY not in clean
    assert "key-" in clean
    assert redact(clean) == clean


def test_what_the_environment_calls_a_key_is_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANY_API_KEY", "plainwords")
    assert redact("say plainwords aloud") == f"say {secret_id('plainwords')} aloud"


@given(st.text(alphabet="abc =:0123456789\n", max_size=40))
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text) == text
    assert redact("max_token = 100000") == "max_token = 100000"
    assert redact("passwd: neither a file nor a folder") == "passwd: neither a file nor a folder"
