"""The fidelity page says what its data says, keeps what it cannot renew, and the theory behind it can fail."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from workbench.cli.validate import command
from workbench.errors import Failure
from workbench.flows.fidelity import JSON_NAME, KIND, PAGE_NAME, validate_all
from workbench.flows.fidelity_page import render, shown
from workbench.flows.theory_systems import SYSTEMS
from workbench.flows.validate_theory import estimate, validate_theory
from workbench.paths import root

MACHINE = {"cpu": "a cpu", "cores": 2, "ram_gib": 8.0, "os": "an os"}
OLD: dict[str, Any] = {
    "title": "Published serving runs", "origin": "measured against simulated", "date": "2020-01-02",
    "command": "workbench validate silicon", "machine": MACHINE, "notes": ["a note"],
    "tables": [{"caption": "By engine", "columns": [["engine", "text"], ["n", "count"], ["MAPE", "frac"]],
                "rows": [["vl|lm", 1234, 0.125], ["none", 0, None]]}],
}


def stored(*names: str) -> dict[str, Any]:
    return {"kind": KIND, "schema": 1, "sections": dict.fromkeys(names, OLD)}


def test_the_committed_page_equals_its_data() -> None:
    top = root()
    assert top is not None
    data = json.loads((top / "docs" / JSON_NAME).read_text(encoding="utf-8"))
    page = (top / "docs" / PAGE_NAME).read_text(encoding="utf-8")
    assert page == render(data), "run `workbench validate all`"
    for section in data["sections"].values():
        assert section["date"] in page
        assert section["command"] in page
        assert section["machine"]["cpu"] in page


def test_the_page_shows_every_value_with_its_place_and_date() -> None:
    page = render(stored("silicon"))
    assert "2020-01-02, `workbench validate silicon`, on a cpu, 2 cores, 8 GiB, an os." in page
    assert "| vl\\|lm | 1,234 | 12.5 % |" in page
    assert "| none | 0 | n/a |" in page
    changed = stored("silicon")
    changed["sections"]["silicon"] = OLD | {"notes": ["another note"]}
    assert render(changed) != page


@pytest.mark.parametrize(("value", "form", "text"), [
    (0.0325, "s", "32.5 ms"), (7.1, "s", "7.10 s"), (-0.011, "signed", "-1.1 %"), (0.011, "signed", "+1.1 %"),
    (4.514, "number", "4.514"), (None, "s", "n/a"),
])
def test_cells(value: float | None, form: str, text: str) -> None:
    assert shown(value, form) == text


def test_a_section_without_data_keeps_its_text_and_date(tmp_path: Path) -> None:
    (tmp_path / JSON_NAME).write_text(json.dumps(stored("silicon", "vllm")), encoding="utf-8")
    told: list[str] = []
    found = validate_all(tmp_path, seeds=10, requests=100, only=("vllm", "engine", "theory"), say=told.append)
    assert found["sections"]["silicon"] == found["sections"]["vllm"] == OLD
    assert found["sections"]["theory"]["date"] != OLD["date"]
    assert "engine" not in found["sections"]
    assert "vllm: no data at hand, kept as of 2020-01-02" in told
    assert "engine: no data at hand, left out" in told
    assert (tmp_path / PAGE_NAME).read_text(encoding="utf-8") == render(found)
    assert json.loads((tmp_path / JSON_NAME).read_text(encoding="utf-8")) == found


def test_what_is_not_a_fidelity_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / JSON_NAME).write_text('{"kind": "workbench.profile"}', encoding="utf-8")
    with pytest.raises(Failure, match="its kind should be"):
        validate_all(tmp_path, only=())
    (tmp_path / JSON_NAME).write_text(json.dumps(stored() | {"schema": 2}), encoding="utf-8")
    with pytest.raises(Failure, match="schema 2; this version reads 1 to 1"):
        validate_all(tmp_path, only=())
    (tmp_path / JSON_NAME).unlink()
    with pytest.raises(Failure, match="no QUANT/profile"):
        validate_all(tmp_path, runs=tmp_path, only=("engine",))


def test_control_variates_know_a_mean_from_its_luck() -> None:
    """A result that is 3 + 2 x luck, where the luck is known: the mean is exactly 3."""
    luck = [[0.1], [-0.3], [0.25], [0.05], [-0.2]]
    found = estimate([3 + 2 * x for (x,) in luck], luck)
    assert found.mean == pytest.approx(3.0)
    assert found.half_width < 1e-9
    assert found.rejects(3.01)
    assert not found.rejects(found.mean)
    with pytest.raises(ValueError, match="more seeds"):
        estimate([1.0], [[0.5]])


def test_theory_agrees_and_a_longer_service_does_not() -> None:
    """The short version: services 10 % too long contradict every formula; 2 % is for the slow suite, and one system."""
    quick = [system for system in SYSTEMS if system.name in ("md1", "mm3loss", "cobham")]
    assert validate_theory(seeds=16, requests=800, systems=quick)["agree"] == 5
    assert validate_theory(seeds=16, requests=800, systems=quick, factor=1.1)["agree"] == 0


def test_a_2_percent_bug_is_caught_on_one_system() -> None:
    found = validate_theory(seeds=24, requests=3_000, systems=SYSTEMS[:1], factor=1.02)
    assert found["agree"] == 0
    assert found["lowest_power_frac"] > 0.9


@pytest.mark.slow
def test_theory_agrees_and_a_2_percent_bug_does_not() -> None:
    true = validate_theory()
    assert true["agree"] == true["of"] == 10, [row for row in true["checks"] if not row["agrees"]]
    assert true["lowest_power_frac"] > 0.99
    assert validate_theory(factor=1.02)["agree"] == 0


@pytest.mark.slow
def test_the_plain_implementation_agrees_with_theory_too() -> None:
    assert validate_theory(seeds=20, requests=3_000, mode="oracle")["agree"] == 10


def test_runs_without_a_subcommand_go_to_engine() -> None:
    for words in (["nowhere.parquet", "--profile", "x.json"], ["--profile", "x.json", "nowhere.parquet"]):
        done = CliRunner().invoke(command, words)
        assert isinstance(done.exception, Failure), done.output
        assert "x.json: no such file" in str(done.exception)
    done = CliRunner().invoke(command, ["theory", "--seeds", "8", "--requests", "100", "--service-factor", "1.5"])
    assert "theory contradicts the simulation" in str(done.exception)
