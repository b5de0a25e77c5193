"""What must hold of the repository itself: small modules, no strays, nothing that names a machine or a secret."""

import re
import subprocess
from pathlib import Path

import pytest

from workbench.paths import root

TOP = root() or Path()
TEXT = {".py", ".md", ".toml", ".json", ".csv", ".yml", ".cff", ".lock", ".svg", ".sh", ""}
# a path below somebody's home or a build machine's folder; a vendor's key; an address that is not loopback's
MACHINE = re.compile(r"(?<![\w.])/(?:home|Users|root|work|opt|mnt|private)/[\w.-]+")
SECRET = re.compile(r"\b(?:sk|ghp|gho|hf|xoxb)[-_][A-Za-z0-9]{20,}|AKIA[A-Z0-9]{16}|-----BEGIN [A-Z ]*PRIVATE KEY")
INDEX = re.compile(r"--(?:extra-)?index-url|--find-links|^-[fi] |https?://[^ ]*(?:pypi|/simple)", re.MULTILINE)


def tracked() -> list[Path]:
    if not (TOP / ".git").exists():
        pytest.skip("not a git checkout: nothing says which files are the project's")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    return [path for name in names.split("\0") if name and (path := TOP / name).is_file()]


def test_no_file_names_a_machine_or_holds_a_key() -> None:
    for path in tracked():
        if path.suffix not in TEXT:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for pattern in (MACHINE, SECRET):
            found = [match[0] for match in pattern.finditer(text) if "canary" not in match[0].lower()]
            assert not found, f"{path.relative_to(TOP)}: {found[:3]}"


def test_the_patterns_would_find_one() -> None:
    assert MACHINE.search("see " + "/home/" + "someone/project/x.py")
    assert SECRET.search("key = sk-" + "a1" * 12)
    assert INDEX.search("--index-url https://example.org/simple")


def test_modules_are_small_and_data_folders_are_no_packages() -> None:
    files = tracked()
    long = [path.name for path in files if path.suffix == ".py" and len(path.read_text().splitlines()) > 400]
    assert not long
    assert not [path for path in files if path.stat().st_size > 5_500_000]
    for folder in ("datasets", "notebooks", "reports"):
        assert not list((TOP / folder).rglob("__init__.py")), f"{folder}/ would shadow a library"


def test_the_lock_names_versions_only() -> None:
    text = (TOP / "requirements.lock").read_text(encoding="utf-8")
    assert not INDEX.search(text)
    assert not re.search(r"^(?:torch|nvidia|vllm)\b", text, re.MULTILINE)
    assert all("==" in line for line in text.splitlines() if line and not line.startswith("#"))


def test_what_users_look_for_is_there() -> None:
    for name in ("LICENSE", "NOTICE", "SECURITY.md", "CITATION.cff", "CHANGELOG.md", "README.md", ".ci/run"):
        assert (TOP / name).is_file()
    for name in ("bench", "scenario", "plan"):
        assert (TOP / "examples" / f"{name}.toml").read_text(encoding="utf-8").startswith("#")
