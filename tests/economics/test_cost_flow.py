"""A day whose answer is known by hand: a replica is a server of 10 ms, arrivals are random, the bill is arithmetic."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_server import write_server

from workbench.cli.main import main
from workbench.config import parse, read_text
from workbench.economics.cost_spec import CostSpec
from workbench.economics.owned import Owned, month
from workbench.errors import ConfigError, Failure, UsageError
from workbench.flows import ways
from workbench.flows.cost import cost
from workbench.flows.load_levels import rounded_up
from workbench.paths import data

TEXT = """
window_s = 2.0
seeds = [1, 2, 3]
levels = 4
[load]
mean_rate_per_s = 100
weights = [1, 3]
users = 1000
prompt_tok = { kind = "fixed", tok = 1 }
output_tok = { kind = "fixed", tok = 1 }
[slo]
ttft_s = 0.03
attainment_frac = 0.9
[serves]
profile = "server.json"
cold_start_s = 0
spare_replicas = 0
[[way]]
kind = "on_demand"
name = "rent"
usd_per_hour = 0.36
[[way]]
kind = "owned"
name = "own"
server_usd = 3600
power_kw = 1
usd_per_kwh = 0.1
pue = 1.5
kg_co2_per_kwh = 0.4
[[way]]
kind = "owned"
name = "both"
server_usd = 3600
power_kw = 1
usd_per_kwh = 0.1
pue = 1.5
burst = "rent"
[api]
name = "elsewhere"
usd_per_million_input_tok = 0.5
usd_per_million_cached_tok = 0.1
usd_per_million_output_tok = 1.5
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_server(tmp_path_factory.mktemp("cost"))


@pytest.fixture(scope="module")
def found(base: Path) -> dict[str, Any]:
    return cost(parse(CostSpec, TEXT, "cost.toml"), base)


def test_utilisation_follows_from_what_the_slo_needs(found: dict[str, Any]) -> None:
    """50 and 150 requests a second of 10 ms: half a server and one and a half; random arrivals need more."""
    low, high = found["day"]["replicas"]
    assert (low, high) == (found["day"]["levels"][0]["replicas"], found["day"]["levels"][1]["replicas"])
    assert 1 <= low < high
    assert high > found["day"]["divided_replicas"] == pytest.approx(1.5, rel=0.01)
    assert found["day"]["utilisation_frac"]["fixed"] == pytest.approx(1 / high, rel=0.01)
    assert found["day"]["utilisation_frac"]["scaled"] == pytest.approx(2 / (low + high), rel=0.01)
    assert all(level["met"] for level in found["day"]["levels"])


def test_the_bills_by_hand(found: dict[str, Any]) -> None:
    ways = {row["name"]: row for row in found["ways"]}
    low, high = found["day"]["replicas"]
    fixed, scaled = ways["rent, fixed"], ways["rent, scaled"]
    assert fixed["usd_per_hour"] == pytest.approx(0.36 * high)
    assert scaled["usd_per_hour"] == pytest.approx(0.36 * (low + high) / 2)
    # 100 requests a second are 360,000 tokens in and as many out an hour
    assert fixed["usd_per_million_output_tok_whole"] == pytest.approx(high, rel=0.02)
    parts = fixed["usd_per_million_tok"]
    assert parts["cached"] is None
    assert parts["input"] + parts["output"] == pytest.approx(high, rel=0.02)
    assert fixed["usd_per_user_month"] == pytest.approx(0.36 * high * 730 / 1000)
    assert ways["own"]["kg_co2_per_month"] == pytest.approx(0.4 * ways["own"]["kwh_per_month"])
    assert ways["both"]["usd_per_hour"] <= min(ways["own"]["usd_per_hour"], fixed["usd_per_hour"])
    assert found["choice"] == min(ways.values(), key=lambda row: row["usd_per_hour"])["name"]


def test_the_apis_bill_by_hand(found: dict[str, Any]) -> None:
    """The server has no cache, so nothing is at the price of cached tokens."""
    api = found["api"]
    assert api["usd_per_hour"] == pytest.approx(0.36 * 0.5 + 0.36 * 1.5, rel=0.02)
    assert api["usd_per_thousand_requests"] == pytest.approx(0.002)
    assert api["usd_per_user_month"] == pytest.approx(api["usd_per_hour"] * 730 / 1000)
    assert api["usd_per_million_tok"] == {"input": 0.5, "cached": 0.1, "output": 1.5}


def test_no_bill_is_below_the_bound_of_the_hardware(found: dict[str, Any]) -> None:
    for row in found["ways"]:
        assert row["usd_per_million_output_tok_whole"] > row["bound_usd_per_million_output_tok"] * 0.999, row["name"]
        assert row["naive_usd_per_million_output_tok"] == pytest.approx(row["bound_usd_per_million_output_tok"] / 0.6)
        assert row["seeds_usd_per_hour"]["low"] <= row["usd_per_hour"]


@given(needed=st.lists(st.integers(0, 20), min_size=1, max_size=24), rent=st.floats(0.01, 100),
       full=st.floats(0.01, 100), server_usd=st.floats(1, 1e6), busy=st.floats(0, 1), start_s=st.floats(0, 7200))
def test_no_way_serves_an_hour_for_less_than_a_machine_that_never_rests(
    needed: list[int], rent: float, full: float, server_usd: float, busy: float, start_s: float
) -> None:
    """What a machine-hour costs that is needed all day is the bound; peaks and starts only add to it."""
    what = Owned(server_usd=server_usd, power_kw=1, usd_per_kwh=0.1)
    own = month(what, 1, busy).usd_per_hour
    for hour, priced in (
        (rent, partial(ways.rented, rent_usd=rent, scaled=False, cold_start_s=start_s)),
        (rent, partial(ways.rented, rent_usd=rent, scaled=True, cold_start_s=start_s)),
        (min(rent, full), partial(ways.reserved, rent_usd=rent, full_usd=full)),
        (own, partial(ways.owned, what=what, burst_usd=None)),
        (min(own, rent), partial(ways.owned, what=what, burst_usd=rent)),
    ):
        bound = hour * sum(needed) / len(needed)
        assert priced(needed, busy).usd_per_hour >= bound * (1 - 1e-9)


def test_spare_replicas_and_starts_are_paid(base: Path, found: dict[str, Any]) -> None:
    text = TEXT.replace("spare_replicas = 0", "spare_replicas = 1").replace("cold_start_s = 0", "cold_start_s = 7200")
    more = {row["name"]: row for row in cost(parse(CostSpec, text, "cost.toml"), base)["ways"]}
    low, high = found["day"]["replicas"]
    assert more["rent, fixed"]["machines_max"] == high + 1
    hours = 24 * ((low + high) / 2 + 1) + 2 * (high - low)  # every start pays two hours
    assert more["rent, scaled"]["machine_hours_per_day"] == pytest.approx(hours)


def test_a_load_that_nothing_carries_says_what_binds_and_by_how_much(base: Path) -> None:
    text = TEXT.replace("levels = 4", "levels = 4\nmax_replicas = 2").replace("ttft_s = 0.03", "ttft_s = 0.0101")
    with pytest.raises(Failure, match=r"75 requests/s: ttft_s binds: .* needs .* s, \+\d+%.* with 2 replicas"):
        cost(parse(CostSpec, text, "cost.toml"), base)
    with pytest.raises(Failure, match="unreachable: alone"):
        cost(parse(CostSpec, TEXT.replace("ttft_s = 0.03", "ttft_s = 0.009"), "cost.toml"), base)


def test_rates_are_never_rounded_down() -> None:
    assert rounded_up([1, 5, 10], 4) == [2.5, 5, 10]
    assert rounded_up([6, 10], 4) == [7.5, 10]
    assert rounded_up([3.0], 6) == [3.0]
    assert rounded_up([0.0, 8.0], 2) == [4.0, 8.0]


@pytest.mark.parametrize(("old", "new", "message"), [
    ("usd_per_hour = 0.36", "usd_per_hour = 0", "greater than 0"),
    ("usd_per_hour = 0.36", "usd_per_hour = 700.0", "usd_per_hour: 700.0: means 'not offered'"),
    ("usd_per_hour = 0.36", "usd_per_hour = 0.36\ndiscount_frac = 1", "less than 1"),
    ("usd_per_hour = 0.36", "", "give either machine"), ("weights = [1, 3]", "weights = [0, 0]", "nobody"),
    ('burst = "rent"', 'burst = "rant"', "none of the on_demand"), ("pue = 1.5", "pue = 0.5", "greater than or equal"),
    ("usd_per_kwh = 0.1", 'region = "US-Ohyo"', "did you mean 'US-Ohio"), ("power_kw = 1", "", "power_kw is missing"),
    ('kind = "on_demand"\nname = "rent"\nusd_per_hour = 0.36', 'kind = "spot"\nname = "rent"\n'
     'machine = "lambda-1x-h100-sxm"', "none of the on_demand"),
    ('burst = "rent"', '[[way]]\nkind = "spot"\nname = "s"\nmachine = "lambda-1x-h100-sxm"', "has no spot price"),
    ('name = "own"', 'name = "rent"', "different names"), ("server_usd = 3600", "servr_usd = 1", "servr_usd"),
])
def test_what_is_wrong_is_one_line(base: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises((UsageError, ConfigError), match=message):
        cost(parse(CostSpec, TEXT.replace(old, new, 1), "cost.toml"), base)


def test_the_command(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (base / "cost.toml").write_text(TEXT, encoding="utf-8")
    main(["cost", str(base / "cost.toml"), "--json", "--out", str(base / "out")])
    assert json.loads(capsys.readouterr().out) == json.loads((base / "out" / "cost.json").read_text())
    main(["cost", str(base / "cost.toml")])
    assert "is the cheapest way" in capsys.readouterr().out


def test_the_example_is_understood() -> None:
    assert len(parse(CostSpec, read_text(data("examples") / "cost.toml"), "cost.toml").way) == 5


@pytest.mark.slow
def test_the_example_runs() -> None:
    path = data("examples") / "cost.toml"
    found = cost(parse(CostSpec, read_text(path), path.name), path.parent)
    assert found["day"]["replicas"][10] > found["day"]["replicas"][0]
