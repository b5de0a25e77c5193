"""`sim run` of a scenario with a control plane: what it writes adds up, and says the same wherever it is run."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from sims.plane.failures import Failure as Breaks
from sims.plane.scenario import PlaneCase
from workbench import paths
from workbench.config import read_text
from workbench.control.plane.build import plane_of
from workbench.control.plane.events import Alarm, Arrived, Notice, ReplicaDown, ReplicaUp, Shift, Start, Stop, Time
from workbench.control.plane.journal import Entry, PlaneJournal
from workbench.control.plane.metrics import PlaneMetrics, models_of
from workbench.errors import Failure, UsageError
from workbench.flows import plane_policies
from workbench.flows.plane_attempts import broken, operations
from workbench.flows.plane_run import lesson, run_plane, together
from workbench.flows.plane_tables import happened, moments
from workbench.report.plane import write_report
from workbench.report.plane_charts import replicas_over_time
from workbench.runlog.table import RunLog, read

PRODUCTION = paths.data("scenarios") / "plane" / "production.toml"
BILLED = """
[control.tenants.tiers]
gold = { weight = 4, ttft_ns = 500_000_000 }
free = { weight = 1, requests_per_minute = 300 }
[control.tenants.tenants]
shop = { tier = "gold" }
batch = { tier = "free" }
[control.billing]
prices = [ { model = "*", kind = "input", flat = 150_000 }, { model = "*", kind = "output", flat = 600_000 } ]
"""
MINE = """
from workbench.control.scheduling.ordered import Ordered

class LastFirst(Ordered):
    def key(self, item):
        return -item.sequence
"""


def scenario(folder: Path, **changes: str) -> Path:
    """A short production run with tenants and prices; `changes` replace texts."""
    text = PRODUCTION.read_text().replace("requests = 900", "requests = 300").replace("at_s = 20.0", "at_s = 6.0")
    text = text.replace("down_s = 15.0", "down_s = 4.0").replace("[[failures]]", BILLED + "\n[[failures]]")
    for old, new in changes.items():
        text = text.replace(old, new)
    path = folder / "production.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("plane")
    path = scenario(folder)
    return folder / "out", run_plane(path, read_text(path), folder / "out", replications=2)


def test_requests_tiers_and_tenants_add_up(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, found = ran
    for run in found["runs"]:
        log = read(folder / f"seed-{run['seed']}.parquet")
        counted = log.counted
        assert run["requests"] == len(counted) == 240
        for key in ("tiers", "tenants"):
            assert sum(one["requests"] for one in run[key].values()) == 240
            for name, count in run["outcomes"].items():
                assert sum(one["outcomes"][name] for one in run[key].values()) == count
        assert dict(Counter(log.text("tier"))) == {
            tier: sum(log.text("tenant") == tenant)
            for tier, tenant in (("gold", "shop"), ("free", "batch"), ("standard", "stranger"))}
        assert run["tally"]["arrived"] == len(log)
        answered = counted.is_ok & np.asarray(counted.table.column("replica").is_null())
        assert sum(one["cached"] for one in run["tenants"].values()) == answered.sum() > 0
    assert found["outcomes"]["ok"] == sum(run["outcomes"]["ok"] for run in found["runs"])


def test_the_ledger_balances_and_is_the_log_and_the_invoices(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, found = ran
    for run in found["runs"]:
        stem = folder / f"seed-{run['seed']}"
        with stem.with_suffix(".ledger.csv").open() as text:
            rows = list(csv.DictReader(text))
        debit, credit = (sum(int(row[name] or 0) for row in rows) for name in ("debit_pusd", "credit_pusd"))
        assert debit == credit > 0
        revenue = sum(int(row["credit_pusd"] or 0) - int(row["debit_pusd"] or 0) for row in rows
                      if row["account"].startswith("revenue:"))
        prices = read(stem.with_suffix(".parquet")).ints("price_pusd").tolist()
        assert revenue == sum(prices) == run["money"]["revenue_pusd"] == run["tally"]["charged_pusd"] > 0
        assert run["money"]["margin_pusd"] == revenue - run["money"]["cost_pusd"]
        assert sum(one["money"]["cost_pusd"] for one in run["tenants"].values()) == run["money"]["cost_pusd"]
        invoices = json.loads(stem.with_suffix(".invoices.json").read_text())["invoices"]
        assert sum(int(line["pusd"]) for one in invoices for line in one["lines"]) == revenue
        assert all(sum(line["cents"] for line in one["lines"]) == one["total_cents"] for one in invoices)
        assert stem.with_suffix(".invoices.txt").read_text().count("INV-") == len(invoices) == 2


def test_a_sum_that_is_off_by_one_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.flows.plane_books.totals_pusd", lambda table: (1, 2))
    path = scenario(tmp_path, **{"requests = 300": "requests = 70"})
    with pytest.raises(Failure, match="the ledger's debits are 1 pico-USD, its credits 2"):
        run_plane(path, read_text(path), tmp_path / "out", seed=1)
    assert not list(tmp_path.glob("out/*ledger*"))


def test_attempts_are_those_of_the_log(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, found = ran
    for run in found["runs"]:
        rows = pq.read_table(folder / f"seed-{run['seed']}.attempts.parquet").to_pylist()
        assert len(rows) == run["tally"]["released"]
        log = read(folder / f"seed-{run['seed']}.parquet").frame.set_index("request_id")
        last = {row["request_id"]: row for row in rows}
        for name, row in last.items():
            line = log.loc[name]
            assert (row["attempt"], str(row["replica"])) == (line.attempts, line.replica)
            assert row["release_ns"] == line.admit_ns
            assert (row["outcome"] == "ok") == (line.outcome == "ok")
            assert row["release_ns"] <= row["end_ns"]
        assert any(row["error"] == "replica down" for row in rows)


def test_the_sla_report_says_what_was_promised(ran: tuple[Path, dict[str, Any]]) -> None:
    tiers = json.loads((ran[0] / "sla.json").read_text())["tiers"]
    assert tiers["gold"]["promised"]["ttft_s"] == 0.5
    assert tiers["standard"]["promised"]["ttft_s"] == 2.0
    assert tiers["standard"]["attained_frac"] == 0.0
    assert tiers["standard"]["rejected"] == tiers["standard"]["requests"]
    assert tiers["gold"]["attained_frac"] > tiers["free"]["attained_frac"]
    assert tiers["gold"]["ttft_s"]["p95"]["low"] <= tiers["gold"]["ttft_s"]["p95"]["simulated"]


def test_a_worker_elsewhere_gives_the_same_with_a_policy_of_ones_own(tmp_path: Path) -> None:
    from workbench.flows.executor import guarded
    from workbench.flows.plane_run import PlaneSeed, PlaneTask, run_seed

    (tmp_path / "mine.py").write_text(MINE)
    chosen = plane_policies.parse([f"scheduling={tmp_path / 'mine.py'}:LastFirst", "routing=round_robin"])
    case = plane_policies.chosen_in(PlaneCase.load(scenario(tmp_path, **{"requests = 300": "requests = 100"})), chosen)
    import pickle

    task = PlaneTask(case, 1, chosen)
    here, there = guarded(run_seed, task), guarded(run_seed, pickle.loads(pickle.dumps(task)))
    assert isinstance(here, PlaneSeed)
    assert isinstance(there, PlaneSeed)
    assert here.journal == there.journal
    assert "mine.py:LastFirst sha256 " in (here.journal or "").splitlines()[0]
    assert str(tmp_path) not in (here.journal or "")
    (tmp_path / "mine.py").write_text(MINE + "\n# changed\n")
    with pytest.raises(Failure, match="the file changed while it was used"):
        run_seed(task)


@pytest.mark.parametrize(("texts", "says"), [
    (["scheduling=fair"], "scheduling 'fair' is unknown; known: "),
    (["scheduling=vtx"], "scheduling 'vtx' is unknown; did you mean 'vtc'?"),
    (["queue=fifo"], "write KIND=NAME or KIND=./FILE.py:CLASS"),
    (["scheduling=none.py:Mine"], "none.py cannot be read"),
    (["scheduling=edf", "scheduling=fifo"], "--policy scheduling=... twice"),
])
def test_an_unknown_policy_is_one_line(texts: list[str], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        plane_policies.chosen_in(PlaneCase.load(PRODUCTION), plane_policies.parse(texts))
    assert says in str(caught.value)


@pytest.mark.parametrize(("old", "new"), [
    ('scheduling = "fifo"', 'scheduling = "./mine.py:Mine"'),
    ('scheduling = "fifo"', 'scheduling = { name = "mine.py:Mine" }'),
    ('scheduling = "fifo"', 'custom = { scheduling = "mine.py:Mine sha256 0" }'),
])
def test_a_scenario_brings_no_code(old: str, new: str) -> None:
    with pytest.raises(UsageError, match="command line"):
        plane_policies.control_of(PRODUCTION.read_text().replace(old, new), "s.toml")


def test_the_journal_is_off_for_long_runs_and_on_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sims.plane.run.JOURNAL_UP_TO", 69)
    path = scenario(tmp_path, **{"requests = 300": "requests = 70"})
    for journal, there in ((None, False), (True, True), (False, False)):
        found = run_plane(path, read_text(path), tmp_path / f"out-{journal}", seed=1, journal=journal)
        assert found["runs"][0]["journal"] is there
        assert (tmp_path / f"out-{journal}" / "seed-1.journal.jsonl").is_file() is there
    page = write_report(tmp_path / "out-None").read_text()
    assert page.count('class="figure"') == 3
    kinds = [[one["kind"] for one in json.loads((tmp_path / f"out-{journal}/summary.json").read_text())["runs"][0][
        "operations"]] for journal in (None, True)]
    assert kinds[0] == kinds[1] == ["Failure", "ReplicaDown"]


def test_the_report_shows_the_lesson_and_nothing_of_it_is_markup(
    ran: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in ran[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    found = json.loads((folder / "summary.json").read_text())
    found["lesson"] = "<script>alert(1)</script> [a](javascript:b) **x**"
    found["runs"][0]["operations"].append(
        {"at_ns": 5 * 10**9, "kind": "Alarm", "what": "<img src=x>", "severity": "page", "value": 3, "limit": 2})
    (folder / "summary.json").write_text(json.dumps(found))
    page = write_report(folder).read_text()
    assert "default-src 'none'" in page
    assert "<script>alert" not in page
    assert "<img src=x>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count('class="figure"') == 3
    assert page.count("INV-0000") == 2
    assert write_report(folder).read_text() == page


EVENTS = [
    Entry(10, ReplicaUp(2, 1), (Start(3, 2, "a", "load"), Alarm("burn gold", "page", 14, 10))),
    Entry(20, ReplicaDown(0), ()), Entry(25, ReplicaDown(0), ()),
    Entry(30, Notice(1, 50), (Shift("m", "begin", 50_000, "canary"),)),
    Entry(40, Time(), (Stop(1, "drained"),)), Entry(60, ReplicaUp(0), ()),
    Entry(61, Arrived("r1"), ()),
]


def test_operations_are_told_in_order_and_replicas_counted() -> None:
    found = operations(EVENTS)
    assert [one["kind"] for one in found] == ["ReplicaUp", "Start", "Alarm", "ReplicaDown", "ReplicaDown", "Notice",
                                              "Shift", "Stop", "ReplicaUp"]
    assert found[5]["at_ns"] == 30
    assert found[5]["gone_ns"] == 50
    assert happened(found)[1] == (10, "start replica 3 on a: load")
    assert [at for at, _ in moments(found, 400)] == [10, 40]
    assert sum(len(lines) for _, lines in moments(found, 400)) == len(found)
    replicas = [{}, {}, {"started": False}, {"started": False}]
    times, counts = replicas_over_time(
        {"control": {"replicas": replicas}, "runs": [{"operations": found, "stop_ns": 100}]})
    assert list(zip([round(time * 1e9) for time in times], counts, strict=True)) == [
        (0, 2), (10, 3), (20, 2), (40, 1), (60, 2), (100, 2)]
    assert all(a <= b for a, b in pairwise(times))


def test_what_breaks_is_told_until_the_run_ends() -> None:
    found = broken([Breaks(5, "n2", 20, "node"), Breaks(7, 1), Breaks(9, "n1", 100, "partition"),
                    Breaks(50, 2, None, "spot", 3)], 40)
    assert [(one["at_ns"], one["what"]) for one in found] == [
        (5, "node n2 dies"), (25, "node n2 is there again"), (7, "replica 1 dies"), (9, "node n1 cannot be reached")]
    assert happened(found)[0] == (5, "failure: node n2 dies")


def test_the_lesson_is_the_first_comment() -> None:
    assert lesson("# What to learn: this\n# and that.\ntitle = 1\n# no more\n") == "This and that."
    assert lesson("title = 1\n") == ""


def test_means_over_seeds_keep_money_whole_and_intervals_hold_the_mean() -> None:
    case = PlaneCase.load(PRODUCTION)

    def seed(number: int, ttft_s: float | None, pusd: int) -> dict[str, Any]:
        one = {"requests": 10, "outcomes": {"ok": 9 + number % 2, "unfinished": 0}, "money": {"revenue_pusd": pusd},
               "metrics": {"ttft_s": {"unit": "s", "p95": {"simulated": ttft_s}, "n": {"simulated": 5}}}}
        return one | {"seed": number, "tiers": {"a": one}, "tenants": {}, "slo": {}, "warmup": 0, "not_arrived": 0,
                      "tally": {"unpriced": 0}, "provenance": {}}

    found = together(case, (), [seed(1, 1.0, 10**19), seed(2, 3.0, 10**19 + 3)])
    assert found["money"]["revenue_pusd"] == 10**19 + 1
    value = found["tiers"]["a"]["metrics"]["ttft_s"]
    assert value["n"] == {"simulated": 10}
    assert value["p95"]["simulated"] == 2.0
    assert value["p95"]["high"] == pytest.approx(2 + 12.706, abs=1e-3)  # t(0.975, 1) times the standard error, 1
    assert found["tiers"]["a"]["outcomes"]["ok"] == 9.5
    assert found["outcomes"]["ok"] == 19
    unknown = together(case, (), [seed(1, 1.0, 1), seed(2, None, 1)])
    assert unknown["metrics"]["ttft_s"]["p95"] == {"simulated": None}


def _logs(folder: Path) -> Iterator[RunLog]:
    return (read(path) for path in sorted(folder.glob("seed-?.parquet")))


def test_a_chosen_policy_changes_the_run_and_nothing_that_arrives(
    ran: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path = scenario(tmp_path)
    found = run_plane(path, read_text(path), tmp_path / "out", replications=2, policies=["routing=round_robin"])
    assert found["control"]["routing"] == {"name": "round_robin"}
    plane_of(found["control"])
    for one, other in zip(_logs(ran[0]), _logs(tmp_path / "out"), strict=True):
        assert one.table.column("intended_ns").equals(other.table.column("intended_ns"))
        assert not one.table.column("replica").equals(other.table.column("replica"))


def test_the_metrics_file_is_what_a_replay_of_the_journal_counts(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, found = ran
    for run in found["runs"]:
        stem = folder / f"seed-{run['seed']}"
        journal = PlaneJournal.parse(stem.with_suffix(".journal.jsonl").read_text(encoding="utf-8").splitlines())
        text = stem.with_suffix(".metrics.prom").read_text(encoding="utf-8")
        assert text == PlaneMetrics.of(journal.entries, models_of(plane_of(journal.facts))).values.text()
        assert f"workbench_arrivals_total {run['tally']['arrived']}\n" in text
