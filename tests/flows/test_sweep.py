"""A sweep stretches one set of arrivals, finds the knee that its rule names, and draws what it found."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from workbench.cli.sim import group
from workbench.errors import Failure, UsageError
from workbench.flows.replicate import Case
from workbench.flows.sweep import at_rate, sweep
from workbench.flows.sweep_chart import chart, sentences, table
from workbench.profile.model import Linear
from workbench.profile.profile import Profile, write

# one slot, 100 ms a request without prompt work: M/D/1 with a saturation of 10 requests/s
TEXT = """
title = "one server"
seeds = [1]
[workload]
requests = 100
arrivals = { kind = "poisson", rate_per_s = 1.0 }
prompt_tok = { kind = "fixed", tok = 10 }
output_tok = { kind = "fixed", tok = 10 }
[fleet]
profile = "p.json"
[slo."*"]
ttft_s = 0.2
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    model = Linear(coefficients_fs={"step": 10 * 10**12})
    write(Profile.model_validate({"source": "measured", "model": model.model_dump(),
                                  "rules": {"engine": "llama.cpp", "slots": 1}}), tmp_path / "p.json")
    (tmp_path / "s.toml").write_text(TEXT)
    return tmp_path / "s.toml"


def test_the_knee_of_one_server(scenario: Path) -> None:
    found = sweep(scenario, loads=(0.2, 0.4, 0.6, 0.8, 0.95, 1.2), replications=4, target_frac=0.9)
    assert found["saturation_rps"] == pytest.approx(10.0)
    assert [point["unstable"] for point in found["points"]] == [False] * 5 + [True]
    knee = found["knee"]["slo"]
    attained = [point["figures"]["slo_attainment_frac.value"]["mean"] for point in found["points"]]
    below = next(i for i, value in enumerate(attained) if value < 0.9)
    loads = [point["load_frac"] for point in found["points"]]
    assert loads[below - 2] < knee["load_frac"]["mean"] < loads[below + 1]
    assert knee["load_frac"]["low"] < knee["load_frac"]["mean"] < knee["load_frac"]["high"]
    assert knee["rate_rps"]["mean"] == pytest.approx(10 * knee["load_frac"]["mean"])
    assert found["knee"]["bend"]["load_frac"]["mean"] >= 0.6, "M/D/1 bends late"
    waits = [point["figures"]["ttft_s.mean"]["mean"] for point in found["points"]]
    assert waits == sorted(waits), "the same arrivals, closer together, never wait less"
    for point in found["points"]:
        assert point["arrived"] == sum(point["outcomes"].values()) == 4 * 100


def test_why_there_is_no_knee(scenario: Path) -> None:
    found = sweep(scenario, loads=(0.1, 0.2), replications=2, target_frac=0.5)
    assert "beyond the highest load tried" in found["knee"]["slo"]["why_not"]
    assert found["knee"]["slo"]["highest_met"]["load_frac"] == pytest.approx(0.2)
    assert "four loads" in found["knee"]["bend"]["why_not"]
    assert "no figure" in sentences(found)[0]
    scenario.write_text(TEXT[: TEXT.index("[slo")])
    assert "no [slo]" in sweep(scenario, loads=(0.1, 0.2), replications=2)["knee"]["slo"]["why_not"]


def test_another_rate_stretches_the_same_arrivals(scenario: Path) -> None:
    case = Case.load(scenario)
    slow = case.draw(1)
    fast = Case.made(at_rate(case.scenario, 4.0), case.profile, case.base, "x", "").draw(1)
    assert [item.asked_prompt_tok for item in fast] == [item.asked_prompt_tok for item in slow]
    for a, b in zip(slow, fast, strict=True):
        assert (a.intended_ns or 0) / (b.intended_ns or 1) == pytest.approx(4.0, rel=1e-6)


def test_the_command_writes_figures_and_says_the_knee(scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = ["sweep", str(scenario), "--rates", "2,4,6,9", "--replications", "2", "--target", "90%", "--out", str(out)]
    done = CliRunner().invoke(group, asked)
    assert done.exception is None
    assert "The SLO is kept up to" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == ["sweep.html", "sweep.json", "sweep.png", "sweep.svg"]
    found = json.loads((out / "sweep.json").read_text())
    assert [point["rate_rps"] for point in found["points"]] == [2, 4, 6, 9]
    assert "Content-Security-Policy" in (out / "sweep.html").read_text()
    assert (out / "sweep.png").read_bytes().startswith(b"\x89PNG")
    drawn = chart(found)
    assert set(drawn.origins) == {"simulated", "derived"}
    assert len(table(found).rows) == 4


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--load", "0.5,x"], "write positive numbers"),
        (["--load", "0.5", "--rates", "3"], "not both"),
        (["--target", "0"], "a share above 0"),
    ],
)
def test_wrong_words(scenario: Path, words: list[str], told: str) -> None:
    done = CliRunner().invoke(group, ["sweep", str(scenario), *words])
    assert told in str(done.exception) + done.stderr


def test_closed_loops_and_what_cannot_be_served_are_refused(scenario: Path) -> None:
    scenario.write_text(TEXT.replace('{ kind = "poisson", rate_per_s = 1.0 }', '{ kind = "closed" }').replace(
        "seeds", "concurrency = 2\nseeds"))
    with pytest.raises(UsageError, match="closed arrivals have no rate"):
        sweep(scenario)
    scenario.write_text(TEXT.replace('profile = "p.json"', 'profile = "p.json"\nrules = { ctx_per_slot_tok = 5 }'))
    with pytest.raises(Failure, match=r"can serve no request of the workload: \S+ needs 20 tokens of context"):
        sweep(scenario)
