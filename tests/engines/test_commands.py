"""`workbench engines` and `workbench doctor`: what is here, what is not, and the line that gets it."""

import importlib.metadata
import json
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
from workbench.quality.sandbox import Found

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


HOLDS, WITHOUT = Found("own uid", "", "3.12.1"), Found("bubblewrap", "bubblewrap is not installed")


@pytest.mark.parametrize(("found", "verdict", "told"), [
    ([Found("bubblewrap", "", "3.12.1"), HOLDS], "ok", "bubblewrap, Python 3.12.1"),
    ([WITHOUT, HOLDS], "warning", "own uid, Python 3.12.1 (bubblewrap: bubblewrap is not installed)"),
    ([WITHOUT], "warning", "none, so generated code is not run (bubblewrap: bubblewrap is not installed)"),
])
def test_doctor_tells_which_sandbox_holds_and_the_remedy(found: list[Found], verdict: str, told: str) -> None:
    (finding,) = doctor._sandbox(lambda: found)
    assert (finding.verdict, finding.found) == (verdict, told)
    assert ("apt-get install bubblewrap" in finding.remedy) == (verdict != "ok")


def test_noise_is_the_spread_of_equal_work(monkeypatch: pytest.MonkeyPatch) -> None:
    times: Iterator[float] = iter([0.001] * 90 + [0.002] * 10)
    monkeypatch.setattr(noise, "_piece", lambda: next(times))
    found = noise.measure(100)
    assert (found.median_s, found.spread_frac) == (0.001, 1.0)
    assert not found.quiet
