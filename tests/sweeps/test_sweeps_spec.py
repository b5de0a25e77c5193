"""The file, its points and their order; fingerprints, estimates, the budget."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.config import load, parse
from workbench.errors import ConfigError, UsageError
from workbench.flows.sweeps.budget import Budget
from workbench.flows.sweeps.dry import dry
from workbench.flows.sweeps.estimate import estimate
from workbench.flows.sweeps.fingerprint import Here, command_of, differing, fingerprint
from workbench.flows.sweeps.hosts import Shelf
from workbench.flows.sweeps.points import Point, Setting, coarse_to_fine, points
from workbench.flows.sweeps.run import Sweep
from workbench.flows.sweeps.spec import SweepSpec
from workbench.paths import data
from workbench.workload.draw import draw

TEXT = """
name = "t"
seed = 3
[[engine]]
name = "fake"
options = [{}, { slots = 2 }]
[[workload]]
name = "w"
requests = 6
prompt_tok = { kind = "fixed", tok = 8 }
output_tok = { kind = "fixed", tok = 4 }
[load]
concurrency = [4, 1, 2]
"""


def spec(text: str = TEXT) -> SweepSpec:
    return parse(SweepSpec, text, "s.toml")


def test_the_shipped_example_is_valid_and_crosses_its_lists() -> None:
    found = load(SweepSpec, data("examples") / "sweep.toml")
    found.check_workloads("sweep.toml")
    assert len(points(found)) == 2 * 3 * 2


@pytest.mark.parametrize(("old", "new", "says"), [
    ('name = "t"', 'name = "../t"', "name"),
    ("concurrency = [4, 1, 2]", "concurrency = [4, 4]", "none twice"),
    ("concurrency = [4, 1, 2]", "concurrency = [4]\nrate_per_s = [1.0]", "one of the three"),
    ("concurrency = [4, 1, 2]", "", "one of the three"),
    ('name = "w"', 'name = "w"\narrivals = { kind = "closed" }', "leave out arrivals"),
    ("options = [{}, { slots = 2 }]", "gpus = [-1]", "a number of GPUs is 0 to 1024"),
    ("[load]", "[laod]", "laod"),
    ('name = "fake"', 'name = "fake"\nworkload = ["v"]', "workload 'v': there are w"),
])
def test_a_wrong_file_is_one_line(old: str, new: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"s\.toml") as caught:
        spec(TEXT.replace(old, new))
    assert says in str(caught.value)


def test_what_is_wrong_inside_a_workload_is_named() -> None:
    with pytest.raises(ConfigError, match=r"s.toml: workload w: requets: unknown key; did you mean 'requests'"):
        spec(TEXT.replace("requests = 6", "requets = 6")).check_workloads("s.toml")


def test_the_same_setting_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        points(spec(TEXT.replace("{ slots = 2 }", "{}")))


def test_an_engine_is_measured_under_the_workloads_that_it_names() -> None:
    both = TEXT.replace("[load]", """[[workload]]
name = "v"
requests = 2
prompt_tok = { kind = "fixed", tok = 8 }
output_tok = { kind = "fixed", tok = 4 }
[load]""")
    one = both.replace('name = "fake"', 'name = "fake"\nworkload = ["v"]')
    assert {point.workload for point in points(spec(both))} == {"v", "w"}
    assert [point.workload for point in points(spec(one))] == ["v"] * 6
    assert {point.id for point in points(spec(one))} < {point.id for point in points(spec(both))}


@given(st.integers(0, 40))
def test_coarse_to_fine_is_an_order_of_all_in_which_holes_halve(n: int) -> None:
    order = coarse_to_fine(range(n))
    assert sorted(order) == list(range(n))
    if n > 2:
        assert order[:2] == [0, n - 1]
        for k in range(2, n):
            known = sorted(order[:k])
            holes = [b - a for a, b in itertools.pairwise(known)]
            below = max(a for a in known if a < order[k])
            above = min(a for a in known if a > order[k])
            assert above - below == max(holes)  # the widest first
            assert abs((above - order[k]) - (order[k] - below)) <= 1  # in its middle


def test_reloads_are_outermost_and_ids_are_unique_and_stable() -> None:
    found = points(spec(TEXT.replace("seed = 3", "seed = 3\nrepeats = 2")))
    changes = sum(a.setting != b.setting for a, b in itertools.pairwise(found))
    assert changes == 1
    assert len({point.id for point in found}) == len(found) == 12
    assert [point.concurrency for point in found[:3]] == [1, 4, 2]
    assert found[0].id == "fake-w-c1-0-" + found[0].id[-10:]
    assert all(Point.from_dict(point.as_dict()) == point for point in found)


def test_gpus_ask_for_tensor_parallel_unless_something_else_is_said() -> None:
    assert Setting("vllm", "m", "", 4, {}).asked == {"tp": 4}
    assert Setting("vllm", "m", "", 4, {"pp": 4}).asked == {"pp": 4}
    assert Setting("vllm", "m", "", 1, {}).asked == {}


HERE = Here("", None, "client 1", "cpu")


def print_of(point: Point, here: Here = HERE) -> dict[str, Any]:
    shelf, one = Shelf(), spec()
    schedule = draw(one.drawn_from("w", point.rate_per_s), point.seed)
    return fingerprint(point, shelf.engine(point.setting.engine), shelf.model(point.setting), schedule, here)


def test_a_fingerprint_says_which_field_differs() -> None:
    point = points(spec())[0]
    now = print_of(point)
    assert differing(now, print_of(point)) == []
    assert differing(now, print_of(point, Here("H100", "595.1", "client 1", "cpu"))) == [
        "gpu: '' -> 'H100'", "driver: None -> '595.1'"]
    other = Point(point.setting, "w", None, 2, 0, 4)
    assert [line.partition(":")[0] for line in differing(now, print_of(other))] == ["concurrency", "seed"]


def test_a_command_has_no_port_key_or_path() -> None:
    shelf = Shelf()
    words = command_of(shelf.engine("vllm"), Setting("vllm", "m", "", 2, {"max_seqs": 8}))
    assert "MODEL" in words
    assert not any(word.startswith("/") or "64999" in word or "workbench-key" in word for word in words)
    assert words == command_of(shelf.engine("vllm"), Setting("vllm", "m", "", 2, {"max_seqs": 8}))
    assert words != command_of(shelf.engine("vllm"), Setting("vllm", "m", "", 2, {"max_seqs": 9}))


def test_estimates_come_from_the_nearest_measured_load_else_from_stated_defaults() -> None:
    one = spec()
    point = points(one)[1]  # 4 in flight
    schedule = draw(one.drawn_from("w", None), 3)
    assert estimate(point, schedule, [], loaded=False).basis == "default"
    row = {"status": "ok", "setting_key": point.setting.key, "start_s": 7.0, "metrics": {"e2e_s": 2.0},
           "asked": Point(point.setting, "w", None, 2, 0, 3).as_dict()}
    found = estimate(point, schedule, [row], loaded=False)
    assert (found.start_s, found.run_s, found.basis) == (7.0, 2.0 * 2 * 2 + 2.0, "measured: same setting")
    assert estimate(point, schedule, [row], loaded=True).start_s == 0.0


def test_a_budget_counts_from_its_beginning_and_refuses_what_does_not_fit() -> None:
    now = [100.0]
    budget = Budget.begin(3.6, 0.1, 10, lambda: now[0])  # 0.001 USD a second: 100 s
    assert budget.refuses(100.0) is None
    now[0] += 60
    assert budget.refuses(40.0) is None
    assert "40 s are left of 100 s" in str(budget.refuses(41.0))
    with pytest.raises(UsageError, match="--max-usd needs a price"):
        Budget.begin(None, 1.0, None)


def test_a_dry_run_lists_the_points_in_order_and_starts_nothing(tmp_path: Path) -> None:
    sweep = Sweep(spec(), tmp_path / "none", Budget.begin(36.0, None, 1.0))
    plan = dry(sweep)
    assert [item["concurrency"] for item in plan["points"]] == [1, 4, 2, 1, 4, 2]
    assert plan["estimated_usd"] == pytest.approx(plan["estimated_s"] * 0.01)
    assert not (tmp_path / "none").exists()


def test_what_an_engine_refuses_is_known_before_it_is_started(tmp_path: Path) -> None:
    one = spec(TEXT.replace("{ slots = 2 }", '{ attention = "flash" }'))
    sweep = Sweep(one, tmp_path, Budget.begin(None, None, None))
    refused = [item["refused"] for item in dry(sweep)["points"]]
    assert refused[:3] == [None] * 3
    assert all("refuses it" in text for text in refused[3:])
