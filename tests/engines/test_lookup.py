"""Engines by name: every record loads, says how to get it, and refuses in one line what it cannot do here."""

from pathlib import Path

import pytest

import engines
from engines import lookup
from workbench.errors import UsageError


@pytest.mark.parametrize("name", engines.NAMES)
def test_every_record_is_whole(name: str) -> None:
    record = engines.find(name)
    assert record.name == name
    assert record.get
    assert record.title
    assert record.needs_model is (bool(record.formats) and record.launches)
    assert record.tested
    assert record.launches is (record.place != "endpoint")
    assert (record.environment is None) is (record.place != "own environment")


def test_a_typo_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match=r"no engine 'lama.cpp'; did you mean 'llama.cpp'"):
        engines.find("lama.cpp")
    with pytest.raises(UsageError, match="known: llama"):
        engines.find("zzz")


def test_what_is_not_installed_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_ENGINES", str(tmp_path))
    with pytest.raises(engines.EngineNotAvailable, match="workbench engines install vllm; one that runs elsewhere"):
        engines.launch("vllm", None, {}, log_dir=tmp_path)


def test_a_missing_package_is_install_this_and_a_bug_of_ours_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import a_package_that_is_not_there\n")
    (tmp_path / "has_bug.py").write_text("import engines.no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(lookup.NAMES, "more", "needs_more:ENGINE")
    monkeypatch.setitem(lookup.NAMES, "bug", "has_bug:ENGINE")
    with pytest.raises(engines.EngineNotAvailable, match="pip install a_package_that_is_not_there"):
        engines.find("more")
    with pytest.raises(ModuleNotFoundError):
        engines.find("bug")
