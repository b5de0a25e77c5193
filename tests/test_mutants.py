"""A test that cannot fail is a defect: every mutant of mutants.toml must fail the test that it names."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TABLE = tomllib.loads((ROOT / "tests/mutants.toml").read_text(encoding="utf-8"))["mutant"]
# the first failure is enough: none is made smaller
QUICK = """
from hypothesis import Phase
settings.register_profile("mutant", settings.get_profile("fixed"), phases=(Phase.explicit, Phase.generate))
settings.load_profile("mutant")
"""
DEFINED = (("def ", "("), ("class ", ":"), ("class ", "("), ("\n", " = "))
TESTS_FAILED = 1  # pytest's exit code; 2 to 5 say that nothing was tested


def named(mutant: dict[str, str]) -> str:
    return f"{Path(mutant['file']).stem}-{mutant['test'].rpartition('::')[2]}-{TABLE.index(mutant)}"


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and tests as they are; what is not Python is small."""
    folder = tmp_path_factory.mktemp("mutants")
    for part in ("workbench", "sims", "engines", "tests", "datasets", "examples", "docs", "pyproject.toml"):
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.gguf", "envs"))
        else:
            shutil.copy(source, folder / part)
    with (folder / "tests/conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(QUICK)
    return folder


def test_every_mutant_changes_one_place_and_names_a_test_that_is_there() -> None:
    for mutant in TABLE:
        assert (ROOT / mutant["file"]).read_text(encoding="utf-8").count(mutant["old"]) == 1, mutant
        assert mutant["old"] != mutant["new"], mutant
        path, *names = mutant["test"].partition("[")[0].split("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in names:
            assert any(f"{before}{name}{after}" in text for before, after in DEFINED), mutant


@pytest.mark.slow
@pytest.mark.parametrize("mutant", TABLE, ids=named)
def test_mutant_is_caught(mutant: dict[str, str], copy: Path) -> None:
    file = copy / mutant["file"]
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(mutant["old"], mutant["new"]), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:xdist", "-p", "no:cov",
             "-m", "slow or not slow", mutant["test"]],
            cwd=copy, env=environment, capture_output=True, text=True, timeout=300, check=False,
        )
    finally:
        file.write_text(text, encoding="utf-8")
    assert done.returncode == TESTS_FAILED, f"not caught (pytest exit code {done.returncode}):\n{done.stdout[-3000:]}"
    assert str(ROOT / "workbench") not in done.stdout, "the test ran the original, not the mutant"
