"""`workbench engines` and `workbench doctor`: what is here, what is not, and the line that gets it."""

import importlib.metadata
import json
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from workbench.cli.doctor import command as doctor_command
from workbench.cli.engines import group as engines_group
from workbench.errors import UsageError
from workbench.flows import doctor, noise
from workbench.flows.engines import show_engine

ROOT = Path(__file__).resolve().parents[2]


def _run(command: Any, *words: str) -> str:
    done = CliRunner().invoke(command, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("words", [["--json"], ["list", "--json"]])
def test_engines_lists_every_engine(words: list[str]) -> None:
    found = {item["name"]: item for item in json.loads(_run(engines_group, *words))["engines"]}
    assert found["llama.cpp"]["installed"]
    assert found["llama.cpp"]["launches"]
    assert not found["vllm"]["installed"]
    assert found["vllm"]["get"] == "workbench engines install vllm"
    assert all(item["get"] for item in found.values() if not item["installed"])


def test_engines_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    text = _run(engines_group)
    assert "llama.cpp" in text
    assert "workbench engines install sglang" in text


def test_show_names_every_option() -> None:
    found = json.loads(_run(engines_group, "show", "llama.cpp", "--json"))
    assert {item["name"] for item in found["options"]} >= {"slots", "n_batch", "kv_type"}
    assert all(item["meaning"] for item in found["options"])
    text = _run(engines_group, "show", "llama.cpp")
    assert all(item["name"] in text for item in found["options"])
    assert "pins its own torch" in _run(engines_group, "show", "vllm")
    with pytest.raises(UsageError, match="did you mean 'vllm'"):
        show_engine("vlm")


@pytest.mark.slow
def test_doctor_tells_a_remedy_for_everything_that_is_not_well() -> None:
    told = json.loads(_run(doctor_command, "--json"))
    assert told["ok"]
    groups = {item["group"] for item in told["findings"]}
    assert groups == {"system", "packages", "extras", "engines", "tools", "data"}
    assert all(bool(item["remedy"]) == (item["verdict"] != "ok") for item in told["findings"])
    assert str(Path.home()) not in json.dumps(told)
    assert "system: noise" in _run(doctor_command)


def test_doctor_knows_the_base_packages() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {text.partition(">")[0] for text in declared["dependencies"]} - {"ipykernel"} == set(doctor.BASE)
    own_environments = {"vllm", "auto-gptq", "autoawq"}
    assert set(declared["optional-dependencies"]) - own_environments == set(doctor.EXTRAS)


@pytest.mark.slow
def test_a_missing_base_package_fails_and_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def without_simpy(name: str) -> str:
        if name == "simpy":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", without_simpy)
    done = CliRunner().invoke(doctor_command, ["--json"])
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert [item["remedy"] for item in told["findings"] if item["verdict"] == "failed"] == ["pip install simpy"]


@pytest.mark.parametrize(("code", "verdict"), [(0, "ok"), (1, "warning")])
def test_a_sandbox_must_not_only_be_there(
    code: int, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bwrap"
    program.write_text(f"#!/bin/sh\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert doctor._sandbox().verdict == verdict


def test_a_sandbox_that_hangs_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    def hangs(*_: Any, **__: Any) -> Any:
        raise subprocess.TimeoutExpired("bwrap", 10)

    assert doctor._sandbox(hangs).verdict == "warning"


def test_noise_is_the_spread_of_equal_work(monkeypatch: pytest.MonkeyPatch) -> None:
    times: Iterator[float] = iter([0.001] * 90 + [0.002] * 10)
    monkeypatch.setattr(noise, "_piece", lambda: next(times))
    found = noise.measure(100)
    assert (found.median_s, found.spread_frac) == (0.001, 1.0)
    assert not found.quiet
