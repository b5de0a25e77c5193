"""`workbench lab`: JupyterLab on loopback, behind its token, gone when it is told to go."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from workbench.errors import UsageError
from workbench.report import lab, library


def test_copies_are_made_once(tmp_path: Path) -> None:
    place = lab.prepare(tmp_path / "mine")
    assert {path.stem for path in place.glob("*.ipynb")} == set(library.names())
    changed = place / f"{library.names()[0]}.ipynb"
    changed.write_text("mine", encoding="utf-8")
    lab.prepare(place)
    assert changed.read_text(encoding="utf-8") == "mine"


def test_root_must_say_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--allow-root"):
        lab.check(0, as_root=False)
    lab.check(0, as_root=True)
    lab.check(1000, as_root=False)
    assert "--allow-root" not in lab.words(tmp_path, browser=True, as_root=False)


@pytest.mark.slow
def test_it_serves_the_notebooks_on_loopback_to_who_has_the_token(tmp_path: Path) -> None:
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    words = [sys.executable, "-m", "workbench", "lab", str(tmp_path / "n"), "--no-browser", "--allow-root"]
    child = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=folders | {"PATH": "/usr/bin:/bin",
                                                                                      "HOME": str(tmp_path)})
    try:
        assert child.stderr is not None
        found = next(match for line in child.stderr if (match := re.search(r"(http://\S+)/lab\?token=(\w+)", line)))
        url, token = found[1], found[2]
        with httpx.Client(transport=httpx.HTTPTransport(retries=8), timeout=60) as client:  # printed before it listens
            assert client.get(f"{url}/api/contents").status_code == 403
            names = client.get(f"{url}/api/contents", params={"token": token}).json()["content"]
        assert {item["name"] for item in names} == {f"{name}.ipynb" for name in library.names()}
        inside = psutil.Process(child.pid).children(recursive=True)
        assert {item.laddr.ip for process in inside for item in process.net_connections()
                if item.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    finally:
        child.send_signal(signal.SIGTERM)
        for process in psutil.Process(child.pid).children(recursive=True):
            process.terminate()
        child.communicate(timeout=60)
