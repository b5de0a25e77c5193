"""The grid, the Pareto front, quality, and why an option was rejected: known by hand, and as laws."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_server import write_server

from workbench.cli.main import main
from workbench.config import parse
from workbench.economics.plan_spec import PlanSpec
from workbench.errors import ConfigError
from workbench.flows.plan import Known, plan
from workbench.flows.reasons import Option, beats, better, pareto

TEXT = """
seeds = [1, 2, 3]
max_replicas = 8
knee = false
[workload]
requests = 80
warmup_requests = 10
arrivals = { kind = "fixed", rate_per_s = 250 }
prompt_tok = { kind = "fixed", tok = 1 }
output_tok = { kind = "fixed", tok = 1 }
[slo]
ttft_s = 0.010
attainment_frac = 0.9
[grid]
profile = ["fast.json", "slow.json"]
usd_per_hour = [0.12, 0.5]
[quality]
"fast.json" = 0.9
"slow.json" = 0.95
"""
OPTIONS = st.lists(st.builds(
    Option, st.sampled_from("ab"), st.integers(1, 3), st.sampled_from([1.0, 2.0, 3.0]),
    st.sampled_from([0.5, 0.9, 1.0]), st.sampled_from([None, 0.1, 0.2]), st.booleans()), max_size=12)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Servers of 10 and of 20 ms."""
    write_server(tmp_path, "fast", 10_000_000)
    return write_server(tmp_path, "slow", 20_000_000)


def answer(base: Path, text: str = TEXT, **more: Any) -> dict[str, Any]:
    return plan(parse(PlanSpec, text, "plan.toml"), base, **more)


def test_every_combination_is_answered_and_every_rejected_one_says_why(base: Path) -> None:
    found = answer(base)
    reasons = {item["name"]: item["rejected"] for item in found["candidates"]}
    assert list(reasons) == ["fast 0.12", "fast 0.5", "slow 0.12", "slow 0.5"]
    assert found["choice"]["name"] == "fast 0.12"
    assert reasons["fast 0.12"] is None
    # three servers each: 3 x 0.5 - 3 x 0.12
    assert reasons["fast 0.5"] == "cost binds: fast 0.12 with 3 takes 1.14 USD/h less and is no worse"
    assert "ttft_s binds: 0.0% keep 0.01 s, 90.0% are asked; that share needs 0.02 s, +100%" in reasons["slow 0.12"]
    assert [(one["name"], one["replicas"]) for one in found["pareto"]] == [("fast 0.12", 3)]
    same = [item["trials"] for item in found["candidates"][:2]]
    assert same[0] == same[1]


def test_quality_is_a_constraint_and_an_axis(base: Path) -> None:
    loose = TEXT.replace("ttft_s = 0.010", "ttft_s = 0.020").replace("[0.12, 0.5]", "[0.1]")
    found = answer(base, loose)
    assert found["choice"]["name"] == "fast"
    slow = found["candidates"][1]
    assert slow["replicas"] == 6  # five of 20 ms would be busy to the last moment
    assert slow["rejected"] == "cost binds: 0.3 USD/h above the choice; better in attainment or quality, so on the " \
                               "Pareto front"
    assert {one["name"] for one in found["pareto"]} == {"fast", "slow"}
    picky = answer(base, loose.replace("seeds", "min_quality = 0.92\nseeds", 1))
    assert picky["choice"]["name"] == "slow"
    assert picky["candidates"][0]["rejected"] == "quality binds: 0.9, 0.92 is asked, 0.02 short"
    assert {one["name"] for one in picky["pareto"]} == {"slow"}


def test_who_wires_quality_in_is_asked_for_what_the_file_does_not_say(base: Path) -> None:
    text = TEXT[:TEXT.index("[quality]")].replace("seeds", "min_quality = 0.5\nseeds", 1)
    assert answer(base, text)["choice"] is None
    assert "nobody measured it" in answer(base, text)["candidates"][0]["rejected"]
    assert answer(base, text, quality=lambda profile: Known(0.6))["choice"]["name"] == "fast 0.12"


def test_a_plan_that_nothing_satisfies_says_what_binds_and_by_how_much(base: Path) -> None:
    found = answer(base, TEXT.replace("max_replicas = 8", "max_replicas = 2"))
    assert found["choice"] is None
    assert "nearest is fast 0.12: not met with 2 replicas" in found["answer"]
    assert "capacity binds: the load is 1.25 times what the fleet completes" in found["answer"]


@given(OPTIONS)
def test_the_front_is_what_nothing_beats(options: list[Option]) -> None:
    front = pareto(options)
    assert all(not beats(other, one) for one in front for other in options)
    assert all(one in front or any(beats(other, one) for other in front) for one in options)
    for one in options:
        assert not beats(one, one)
        winner = better(one, options)
        assert winner is None or (winner.met and beats(winner, one))


def test_the_command_takes_the_quality_that_is_asked(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (base / "plan.toml").write_text(TEXT, encoding="utf-8")
    with pytest.raises(SystemExit) as nothing_is_left:
        main(["plan", str(base / "plan.toml"), "--out", str(base / "out"), "--min-quality", "0.94", "--json"])
    assert nothing_is_left.value.code == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["min_quality"], found["choice"]) == (0.94, None)
    main(["plan", str(base / "plan.toml"), "--out", str(base / "out2")])
    shown = capsys.readouterr().out
    assert "Pareto: candidate" in shown
    assert "fast 0.5: cost binds" in shown


@pytest.mark.parametrize(("old", "new", "message"), [
    ("usd_per_hour = [0.12, 0.5]", "", "give machine"), ("[0.12, 0.5]", "[0.0]", "greater"),
    ("[0.12, 0.5]", "[0.12, 0.12]", "same name"), ("[grid]", "[gird]", "did you mean 'grid'"),
])
def test_what_is_wrong_is_one_line(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(PlanSpec, TEXT.replace(old, new, 1), "plan.toml")
