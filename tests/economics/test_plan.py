"""Plans whose answer is known by hand: one token a request, one constant step, so a replica is a plain server."""

from pathlib import Path
from typing import Any

import pytest
from plain_server import write_server

from workbench.cli.main import main
from workbench.config import parse
from workbench.economics.plan_spec import PlanSpec
from workbench.errors import ConfigError, UsageError
from workbench.flows.plan import plan, plan_file
from workbench.paths import data


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_server(tmp_path)


def text(*, rate: float = 250, kind: str = "fixed", ttft_s: float = 0.010, limit: int = 16, extra: str = "") -> str:
    return f"""
seeds = [1, 2, 3]
max_replicas = {limit}
{extra}
[workload]
requests = 80
warmup_requests = 10
arrivals = {{ kind = "{kind}", rate_per_s = {rate} }}
prompt_tok = {{ kind = "fixed", tok = 1 }}
output_tok = {{ kind = "fixed", tok = 1 }}
[slo]
ttft_s = {ttft_s}
attainment_frac = 0.9
[api]
name = "elsewhere"
usd_per_million_input_tok = 0.1
usd_per_million_output_tok = 0.4
[[candidate]]
name = "server"
profile = "server.json"
usd_per_hour = 0.12
"""


def answer(base: Path, **change: Any) -> dict[str, Any]:
    return plan(parse(PlanSpec, text(**change), "plan.toml"), base)


def test_three_servers_of_ten_ms_take_arrivals_every_four_ms_without_a_wait(base: Path) -> None:
    found = answer(base)
    (item,) = found["candidates"]
    assert found["choice"]["replicas"] == item["replicas"] == 3
    assert item["at_load"]["attainment_frac"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 3}
    assert item["at_load"]["p95"]["ttft_s"] == pytest.approx(0.010, abs=1e-9)
    assert item["divided"] == {"peak_rps": pytest.approx(100.0), "replicas": 3}
    assert [trial["replicas"] for trial in item["trials"]] == [1, 2, 3, 4]  # 1, 2, 4 by doubling, then 3
    assert [trial["met"] for trial in item["trials"]] == [False, False, True, True]
    # one replica carries every rate below its peak; the search stops within a thirty-second of it
    assert 100 * (1 - 1 / 16) <= item["knee"]["rate_rps"] < 100


def test_the_bill_by_hand(base: Path) -> None:
    found = answer(base)
    cost, even = found["choice"]["cost"], found["choice"]["break_even"]
    # 3 x 0.12 USD for 250 x 3600 = 900,000 prompt tokens and as many answered
    assert cost["usd_per_hour"] == pytest.approx(0.36)
    assert cost["usd_per_million_input_tok"] == cost["usd_per_million_output_tok"] == pytest.approx(0.4)
    assert cost["usd_per_million_total_tok"] == pytest.approx(0.2)
    assert even["api_usd_per_hour"] == pytest.approx(0.45)
    assert even["rate_rps"] == pytest.approx(200.0)
    assert even["self_hosting_is_cheaper"] is True
    assert "3 replicas of server carry 250 requests/s" in found["answer"]


def test_whole_machines_are_paid(base: Path) -> None:
    spec = parse(PlanSpec, text() + "replicas_per_machine = 2\n", "plan.toml")
    found = plan(spec, base)["choice"]
    assert (found["replicas"], found["machines"]) == (3, 2)
    assert found["cost"]["usd_per_hour"] == pytest.approx(0.24)


@pytest.mark.slow
def test_random_arrivals_need_more_than_division_says(base: Path) -> None:
    (item,) = answer(base, kind="poisson", ttft_s=0.012)["candidates"]
    assert item["replicas"] > item["divided"]["replicas"]


def test_an_slo_that_one_request_alone_misses_is_not_searched_for(base: Path) -> None:
    found = answer(base, ttft_s=0.009)
    (item,) = found["candidates"]
    assert found["choice"] is None
    assert item["trials"] == []
    assert item["why_not"].startswith("unreachable: alone on the engine 0.0%")
    assert "None of the 1 candidates" in found["answer"]


def test_a_limit_that_is_too_low_is_said(base: Path) -> None:
    (item,) = answer(base, limit=2)["candidates"]
    assert item["replicas"] is None
    assert item["why_not"].startswith("not met with 2 replicas")


def test_more_load_never_needs_fewer_replicas(base: Path) -> None:
    needed = [
        answer(base, rate=rate, kind="poisson", ttft_s=0.015, extra="knee = false")["candidates"][0]["replicas"]
        for rate in (40, 150, 400)
    ]
    assert needed == sorted(needed)
    assert needed[0] < needed[-1]


@pytest.mark.slow
def test_the_cheapest_that_keeps_the_slo_is_chosen_on_the_same_requests(base: Path) -> None:
    second = '[[candidate]]\nname = "dear"\nprofile = "server.json"\nusd_per_hour = 0.13\n'
    found = plan(parse(PlanSpec, text(kind="poisson", ttft_s=0.015) + second, "plan.toml"), base)
    cheap, dear = found["candidates"]
    assert found["choice"]["name"] == "server"
    assert cheap["trials"] == dear["trials"]  # common random numbers: equal profiles, equal figures


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("usd_per_hour = 0.12", "", "give either machine"),
        ('profile = "server.json"', 'profile = "gone.json"', "gone.json: no such file"),
        ("seeds = [1, 2, 3]", "seeds = [1, 1]", "seeds differ"),
        ("seeds = [1, 2, 3]", "sedes = [1, 2]", "did you mean 'seeds'"),
        ("ttft_s = 0.01", "", "at least one of"),
        ("usd_per_hour = 0.12", 'machine = "lambda-1x-h100-smx"', "did you mean 'lambda-1x-h100-sxm'"),
        ("usd_per_million_output_tok = 0.4", "", "or neither"),
        ("usd_per_hour = 0.12", "usd_per_hour = 0.12\nrules = { slotz = 2 }", "slotz: unknown"),
        ('{ kind = "fixed", rate_per_s = 250 }', '{ kind = "closed", concurrency = 2 }', "arrival"),
        ("usd_per_hour = 0.12", "usd_per_hour = -1", "greater than 0"),
        ("usd_per_hour = 0.12", "usd_per_hour = 700", "means 'not offered'"),
    ],
)
def test_what_is_wrong_is_one_line(base: Path, old: str, new: str, message: str) -> None:
    assert old in text()
    with pytest.raises((UsageError, ConfigError), match=message):
        plan(parse(PlanSpec, text().replace(old, new, 1), "plan.toml"), base)


def test_a_price_that_no_table_has_names_the_file(base: Path) -> None:
    (base / "plan.toml").write_text(text().replace("usd_per_hour = 0.12", 'machine = "lambda-1x-h100-smx"'))
    with pytest.raises(UsageError, match=r"^plan\.toml: machine 'lambda-1x-h100-smx' is not in the price table"):
        plan_file(base / "plan.toml")


@pytest.mark.slow
def test_rules_of_a_candidate_override_those_of_its_profile(base: Path) -> None:
    spec = parse(PlanSpec, text() + "rules = { slots = 4 }\n", "plan.toml")
    assert plan(spec, base)["candidates"][0]["rules"]["slots"] == 4


def test_two_candidates_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="same name"):
        parse(PlanSpec, text() + '[[candidate]]\nname = "server"\nprofile = "p"\nusd_per_hour = 1\n', "plan.toml")


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path) -> None:
    """The example as it ships, with shorter runs."""
    path = data("examples") / "plan.toml"
    short = path.read_text(encoding="utf-8").replace("requests = 240 ", "requests = 60 ")
    short = short.replace("[1, 2, 3, 4, 5]", "[1, 2]").replace("knee = true ", "knee = false ")
    (tmp_path / "plan.toml").write_text(short, encoding="utf-8")
    found = plan_file(tmp_path / "plan.toml", tmp_path / "out")
    assert (tmp_path / "out" / "plan.json").is_file()
    assert [item["name"] for item in found["candidates"]] == ["Q4_0", "Q8_0"]
    assert found["api"]["source"].startswith("deepinfra.com/pricing")
    assert "Meta-Llama-3.1-8B-Instruct-Turbo, the candidates tiny-27m" in found["caveat"]


def test_the_command_prints_json_or_a_table(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    (base / "plan.toml").write_text(text(extra="knee = false"), encoding="utf-8")
    main(["plan", str(base / "plan.toml"), "--out", str(base / "out"), "--json"])
    shown = capsys.readouterr()
    assert json.loads(shown.out) == json.loads((base / "out" / "plan.json").read_text())
    assert "simulate candidate server" in shown.err
    main(["plan", str(base / "plan.toml"), "--out", str(base / "out")])
    assert "Break-even with elsewhere: 200 requests/s" in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        main(["plan", str(base / "gone.toml")])
    assert caught.value.code == 2
