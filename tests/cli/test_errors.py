"""Every mistake is one line and the right exit code; nothing is half-written."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.cli import main as cli_main
from workbench.cli.common import escape, plain


def workbench(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workbench", *words], cwd=cwd, capture_output=True, text=True, timeout=120,
        env=os.environ | env, check=False,
    )


def in_process(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    before = signal.getsignal(signal.SIGTERM)
    try:
        cli_main.main(words)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        signal.signal(signal.SIGTERM, before)
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.mark.parametrize(("words", "code", "message"), [
    (["demmo"], 2, "no such command 'demmo'; did you mean 'demo'?"),
    (["runs", "show", "none.parquet"], 1, "none.parquet: no such run log"),
    (["runs", "list", "nowhere"], 2, "nowhere: no such folder"),
    (["sim", "run", "none.toml"], 2, "none.toml: no such file"),
    (["plan", "none.toml"], 2, "none.toml: no such file"),
    (["validate", "x.parquet", "--profile", "none.json"], 1, "none.json: no such file"),
    (["profile", "fit", "none.parquet", "--out", "p.json"], 1, "none.parquet: no such run log"),
    (["init", "benhc"], 2, "'benhc' is not one of"),
    (["data", "check", "nowhere"], 2, "nowhere: no such folder"),
    (["models", "convert", "nosuch", "--to", "Q8_0", "--out", "x.gguf"], 2, "'nosuch': no such file or folder"),
    (["bench", "--url", "http://127.0.0.1:9", "--model", "m", "--rate", "-1", "--requests", "5", "--input-tok", "8",
      "--output-tok", "8"], 2, "rate"),
    (["bench", "--url", "http://127.0.0.1:9", "--model", "m", "--rate", "1", "--requests", "0", "--input-tok", "8",
      "--output-tok", "8"], 2, "requests"),
])
def test_one_line(
    words: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = in_process(words, capsys)
    assert found == code, err
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_key_names_file_key_and_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.toml"
    path.write_text("horizn_s = 3\n")
    code, _, err = in_process(["sim", "run", str(path)], capsys)
    assert code == 2
    assert "s.toml: horizn_s: unknown key; did you mean 'horizon_s'?" in err


def test_sigterm_is_an_interruption(tmp_path: Path) -> None:
    script = "import os, signal\nfrom workbench.cli import main as m\nimport workbench.cli.runs as r\n" \
             "r.list_.callback = lambda **_: os.kill(os.getpid(), signal.SIGTERM)\nm.main(['runs', 'list'])\n"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 130
    assert done.stderr.strip() == "workbench: interrupted"


def test_json_is_one_object_on_standard_output(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    done = workbench("runs", "list", "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == {"runs": []}
    assert done.stderr == ""


@pytest.mark.parametrize("hostile", [
    "\x1b[31mred\x1b[0m", "\x1b]0;title\x07x", "[link=file:///etc]x[/link]", "a\x00b\x9bc",
    r"a\[/nope]", r"x\[link=http://evil]y\[/link]",
])
def test_hostile_text_is_tamed(hostile: str) -> None:
    from rich.text import Text

    assert "\x1b" not in plain(hostile)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in plain(hostile))
    shown = Text.from_markup(escape(hostile))
    assert not shown.spans
    assert shown.plain == plain(hostile)


def test_init_writes_and_does_not_replace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in ("bench", "scenario", "plan"):
        assert in_process(["init", kind], capsys)[0] == 0
        assert (tmp_path / f"{kind}.toml").read_text().startswith("#")
    (tmp_path / "plan.toml").write_text("mine")
    code, _, err = in_process(["init", "plan"], capsys)
    assert code == 2
    assert "--force" in err
    assert (tmp_path / "plan.toml").read_text() == "mine"
