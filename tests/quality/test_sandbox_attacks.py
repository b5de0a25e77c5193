"""Every attack in every backend, as root would run it and as an ordinary user would; what came of it is what the
documentation says, and the host is as it was."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.quality.sandbox_attacks import ATTACKS, WITH_PROCESSES
from tests.quality.sandbox_stage import play
from workbench.quality.sandbox import examine
from workbench.quality.sandbox.python import interpreter

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/quality/sandbox.md"
SOMEBODY = 64_900  # without an account
STAGE = ("workbench/__init__.py", "workbench/errors.py", "workbench/text.py", "workbench/quality/__init__.py",
         "tests/quality/sandbox_attacks.py", "tests/quality/sandbox_stage.py", "workbench/quality/sandbox")


def documented(column: int) -> dict[str, str]:
    """Attack -> verdict, from the page's table; column 1 is bubblewrap, 2 the other two."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return {row[0]: row[column] for row in rows if row[0] in ATTACKS}


def as_documented(backend: str, found: dict[str, dict[str, object]]) -> None:
    assert {name: result["harm"] for name, result in found.items() if result["harm"]} == {}
    told = {name: found[name]["outcome"] for name in ATTACKS}
    assert told == documented(1 if backend == "bubblewrap" else 2)
    if backend == "bubblewrap":
        for name, (_, outcomes) in WITH_PROCESSES.items():
            result = found[f"{name}, processes allowed"]
            assert result["outcome"] in outcomes, (name, result)


def play_as_somebody(backend: str) -> dict[str, dict[str, object]]:
    """With an interpreter that somebody may read, on a copy that somebody may read."""
    with tempfile.TemporaryDirectory() as base:
        os.chmod(base, 0o755)
        for part in STAGE:
            (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, _parents(Path(base) / part))
        shared = Path(base) / "shared"
        shared.mkdir()
        shared.chmod(0o777)
        done = subprocess.run(
            [interpreter(SOMEBODY), "-m", "tests.quality.sandbox_stage", backend], cwd=base, capture_output=True,
            text=True, env={"TMPDIR": str(shared), "PATH": "/usr/bin:/bin"}, user=SOMEBODY, group=SOMEBODY,
            extra_groups=[], check=False, timeout=120,
        )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def needs(backend: str) -> None:
    lack = {found.backend: found.lack for found in examine()}[backend]
    assert "does not hold" not in lack
    if lack:
        pytest.skip(lack)


def _parents(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_bubblewrap() -> None:
    needs("bubblewrap")
    as_documented("bubblewrap", play("bubblewrap"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a program another uid")
def test_seccomp_and_landlock_under_another_uid() -> None:
    needs("other uid")
    as_documented("other uid", play("other uid"))


def test_seccomp_and_landlock_under_ones_own_uid() -> None:
    root = os.geteuid() == 0
    needs("other uid" if root else "own uid")
    as_documented("own uid", play_as_somebody("own uid") if root else play("own uid"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else; as a user, test_bubblewrap is this one")
def test_bubblewrap_of_an_ordinary_user() -> None:
    needs("bubblewrap")
    as_documented("bubblewrap", play_as_somebody("bubblewrap"))
