"""Comparisons of plane scenarios: common random numbers, what each figure counts, files of one's own, clear errors."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from two_tenants import BASE, make

from sims.plane.scenario import PlaneCase
from workbench import paths
from workbench.cli.compare import command
from workbench.control.plane.events import Arrived
from workbench.errors import Failure, UsageError
from workbench.flows import executor
from workbench.flows.compare import compare
from workbench.flows.comparison import Effort
from workbench.flows.executor import Where
from workbench.flows.fairness import fairness
from workbench.flows.plane_policies import classes
from workbench.flows.plane_replicate import PlaneTask, replicate_plane
from workbench.flows.plane_variants import plane_variants, weights_of
from workbench.metrics import values

MINE = """
from workbench.control.scheduling.ordered import Ordered

class Mine(Ordered):
    def key(self, item):
        return item.priority
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def row(found: dict[str, Any], metric: str, variant: str, tier: str = "all", part: str = "comparisons") -> Any:
    return next(item for item in found[part]
                if (item["metric"], item["variant"], item["tier"]) == (metric, variant, tier))


def test_every_variant_meets_the_same_arrivals(folder: Path) -> None:
    """Request by request and field by field, at the same nanosecond."""
    found = plane_variants([folder / "a.toml"], ["scheduling=fifo,vtc", "window=1,none", "routing=power_of_choices"])
    assert [item.name for item in found] == [
        f"scheduling={order} window={window} routing=power_of_choices"
        for order in ("fifo", "vtc") for window in ("1", "none")]
    told = []
    for item in found:
        assert (item.paired, item.seed_shift, item.why) == (True, 0, "the same requests")
        journal = item.case.run(3).journal
        assert journal is not None
        told.append([(entry.now_ns, entry.event) for entry in journal.entries if isinstance(entry.event, Arrived)])
    assert len(told[0]) == 140
    assert told[1:] == told[:1] * 3


def test_figures_are_those_of_the_runs_themselves(folder: Path) -> None:
    found = compare([folder / "a.toml"], ["scheduling=fifo,priority"], effort=Effort(3))
    fifo, priority = plane_variants([folder / "a.toml"], ["scheduling=fifo,priority"])
    assert weights_of(fifo.case) == {"ann": 3, "bob": 1}
    runs = {item.name: [item.case.run(seed) for seed in (3, 4, 5)] for item in (fifo, priority)}
    assert found["replications"]["seeds"] == [3, 4, 5]
    for name, results in runs.items():
        revenue = [-one.plane.desk.billing.ledger.group("revenue") / 1e12 for one in results]  # type: ignore[union-attr]
        assert row(found, "revenue_usd", name, part="figures")["mean"] == pytest.approx(np.mean(revenue))
        told = [fairness(one.log, {"ann": 3, "bob": 1}) for one in results]
        assert row(found, "jain_index", name, part="figures")["mean"] == pytest.approx(np.mean([x.jain for x in told]))
        shares = [x.share_frac("ann") for x in told]
        assert row(found, "service_share_frac", name, "tenant:ann", "figures")["mean"] == pytest.approx(np.mean(shares))
        gold = [one.log.where(np.asarray(one.log.text("tier") == "gold", dtype=bool)) for one in results]
        late = [np.quantile(values(log, "ttft_s"), 0.95) for log in gold]
        assert row(found, "ttft_s", name, "gold", "figures")["mean"] == pytest.approx(np.mean(late))
    other = row(found, "ttft_s", priority.name, "gold")
    assert other["verdict"] == "better"
    assert other["simultaneous"]["low"] <= other["low"] <= other["difference"] <= other["simultaneous"]["high"] < 0
    assert len(found["comparisons"]) == 9, "2 tiers x 2, 2 shares, index, goodput, revenue"
    assert row(found, "joint_frac", fifo.name, part="figures")["mean"] > 0.2, "they did wait at the same time"


def test_attainment_counts_who_was_shed_rejected_or_late_as_missed(folder: Path) -> None:
    (folder / "b.toml").write_text(BASE + "[control.queue]\nlimit = 24\n")
    case = PlaneCase.load(folder / "b.toml")
    one = replicate_plane(PlaneTask(case, 3, weights={"ann": 3, "bob": 1}))
    assert one.outcomes["shed"] > 5
    log = case.run(3).log
    first = log.ints("first_token_ns") - log.ints("sent_ns")
    limit = np.where(log.text("tier") == "gold", 10**9, 3 * 10**9)
    met = int((log.is_ok & (first <= limit)).sum())
    assert one.figures["all"]["slo_attainment_frac.value"] == met / 140
    assert met < one.outcomes["ok"] < 140


def test_a_change_of_one_line_in_a_file_of_ones_own_is_a_difference_with_an_interval(folder: Path) -> None:
    (folder / "other.py").write_text(MINE.replace("return item.priority", "return -item.priority"))
    policy = f"scheduling={folder}/mine.py:Mine,{folder}/other.py:Mine"
    found = compare([folder / "a.toml"], [policy], effort=Effort(5), metrics=["ttft_s.mean"])
    assert [item["name"] for item in found["variants"]] == ["scheduling=mine.py:Mine", "scheduling=other.py:Mine"]
    assert row(found, "ttft_s", "scheduling=other.py:Mine", "lead")["verdict"] == "better"
    mean = row(found, "ttft_s", "scheduling=other.py:Mine", "gold")
    assert mean["verdict"] == "worse", "the lowest class first makes the best one wait"
    assert 0 < mean["simultaneous"]["low"] < mean["difference"] < mean["simultaneous"]["high"]
    abouts = [item["custom"]["scheduling"] for item in found["variants"]]
    assert abouts[0].startswith("mine.py:Mine sha256 ")
    assert abouts[0].split()[-1] != abouts[1].split()[-1]


def test_a_file_that_changes_while_it_is_used_is_noticed(folder: Path) -> None:
    variant = plane_variants([folder / "a.toml"], ["scheduling=fifo,mine.py:Mine"])[1]
    assert classes(variant.chosen)["scheduling"].__name__ == "Mine"
    (folder / "mine.py").write_text(MINE + "\n")
    with pytest.raises(Failure, match="the file changed"):
        replicate_plane(PlaneTask(variant.case, 3, variant.chosen))


def test_a_policy_keeps_the_files_parameters_under_its_own_name_alone(folder: Path) -> None:
    text = BASE.replace("window = 2", 'window = 2\nscheduling = { name = "vtc", parameters = { output_cost = 5 } }')
    (folder / "b.toml").write_text(text)
    kept, anew = plane_variants([folder / "b.toml"], ["scheduling=vtc,wfq"])
    assert kept.case.scenario.control["scheduling"]["parameters"] == {"output_cost": 5}
    assert anew.case.scenario.control["scheduling"] == {"name": "wfq"}


def test_two_files_pair_and_windows_are_numbers_or_none(folder: Path) -> None:
    (folder / "b.toml").write_text(BASE.replace("replicas = 2", "replicas = 3"))
    found = compare([folder / "a.toml", folder / "b.toml"], effort=Effort(3))
    assert found["baseline"] == "a"
    assert row(found, "ttft_s", "b", "lead")["verdict"] == "better"
    assert row(found, "cost_usd", "b", part="figures")["mean"] > row(found, "cost_usd", "a", part="figures")["mean"]
    (folder / "c.toml").write_text(BASE.replace("rate_per_s = 24.0", "rate_per_s = 30.0"))
    assert plane_variants([folder / "a.toml", folder / "c.toml"], [])[1].why.startswith("different workloads, drawn")
    windows = plane_variants([folder / "a.toml"], ["window=4,none"])
    assert [item.case.scenario.control.get("window") for item in windows] == [4, None]


def test_tenants_of_other_pools_do_not_wait_for_each_other(folder: Path) -> None:
    case = PlaneCase.load(folder / "a.toml")
    control = case.scenario.control
    tiers = {**control["tenants"]["tiers"], "gold": {**control["tenants"]["tiers"]["gold"], "replicas": "tier"}}
    apart = {**control, "replicas": [{"pool": "tier:gold"}, {"pool": "shared"}],
             "tenants": {**control["tenants"], "tiers": tiers}}
    moved = replace(case, scenario=case.scenario.model_copy(update={"control": apart}))
    assert weights_of(moved) == {}
    assert "jain_index.value" not in replicate_plane(PlaneTask(moved, 3)).figures["all"]


def test_the_command_prints_one_table(folder: Path) -> None:
    words = [str(folder / "a.toml"), "--policy", "scheduling=fifo,priority,./mine.py:Mine", "--replications", "2"]
    done = CliRunner().invoke(command, [*words, "--out", str(folder / "x.json")])
    assert done.exception is None
    shown = " ".join(done.stdout.split())
    for text in ("baseline scheduling=fifo, 2 replications", "ttft_s p95, gold: time to first token (s) mean ±",
                 "jain_index: Jain's index", "service_share_frac, ann: share of service", "revenue_usd: revenue (USD)",
                 "who was rejected, shed or came too late missed it"):
        assert text in shown
    assert "scheduling=mine.py:Mine: scheduling is mine.py:Mine sha256 " in " ".join(done.stderr.split())
    assert json.loads((folder / "x.json").read_text())["kind"] == "workbench.comparison"


@pytest.mark.parametrize(("asked", "told"), [
    (["a.toml"], "compare needs two variants"),
    (["a.toml", "plain.toml"], "plain.toml: has no [control] table, the others have"),
    (["a.toml", "--policy", "scheduling=fifo,vct"], "scheduling 'vct' is unknown; did you mean 'vtc'?"),
    (["a.toml", "--policy", "router=round_robin"], "write scheduling or routing or window"),
    (["a.toml", "--policy", "window=2,0"], "--policy window=0: a whole number of at least 1, or none"),
    (["a.toml", "--policy", "window=2,many"], "--policy window=many: a whole number"),
    (["a.toml", "--policy", "scheduling=fifo,./none.py:Mine"], "none.py cannot be read"),
    (["a.toml", "--policy", "scheduling=fifo,fifo"], "fifo twice"),
    (["a.toml", "--policy", "window=2,3", "--metric", "jain"], "--metric jain: unknown; known: ttft_s"),
    (["code.toml", "--policy", "window=2,3"], "code is not taken from a scenario"),
])
def test_what_is_wrong_is_one_line(folder: Path, asked: list[str], told: str) -> None:
    (folder / "plain.toml").write_text('[workload]\n[fleet]\nprofile = "p.json"\n')
    (folder / "code.toml").write_text(BASE.replace("window = 2", 'window = 2\nscheduling = "./mine.py:Mine"'))
    done = CliRunner().invoke(command, [*asked, "--out", "x.json"])
    assert isinstance(done.exception, UsageError)
    assert told in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (folder / "x.json").exists()


def test_the_shipped_scenario_is_overloaded_and_its_tenants_wait_at_once() -> None:
    case = PlaneCase.load(paths.data("scenarios") / "plane" / "multi_tenant.toml")
    weights = weights_of(case)
    assert weights == {"acme": 8, "hobby": 1, "lab": 4, "shop": 4}
    found = {}
    for name in ("fifo", "vtc"):
        scenario = case.scenario.model_copy(update={"control": {**case.scenario.control, "scheduling": name}})
        found[name] = replicate_plane(PlaneTask(replace(case, scenario=scenario), 1, weights=weights)).figures["all"]
        assert (found[name]["joint_frac.value"] or 0) > 0.2
    assert (found["vtc"]["jain_index.value"] or 0) > 0.98
    assert (found["fifo"]["jain_index.value"] or 1) < 0.8


@pytest.mark.slow
def test_worker_processes_get_the_users_file_and_give_the_same_numbers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = ["scheduling=vtc,./mine.py:Mine"]
    here = compare([folder / "a.toml"], policies, effort=Effort(2), where=Where(1))
    monkeypatch.setattr(executor, "WORTH_S", -1.0)
    assert compare([folder / "a.toml"], policies, effort=Effort(2), where=Where(2)) == here
