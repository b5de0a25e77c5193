"""Scenarios with a control plane, as shipped; and a policy of the user's own file."""

from collections import Counter
from pathlib import Path

import pytest

from sims.plane.custom import load_policy
from sims.plane.scenario import PlaneCase
from workbench import paths
from workbench.control.plane.journal import PlaneJournal, first_difference
from workbench.errors import UsageError

PRODUCTION = paths.data("scenarios") / "plane" / "production.toml"
MINE = """
from workbench.control.scheduling.ordered import Ordered

class LastFirst(Ordered):
    def key(self, item):
        return -item.sequence
"""


def test_production_shows_what_its_comment_says() -> None:
    found = PlaneCase.load(PRODUCTION).run(1, checked=True)
    rows = found.log.table.select(["tenant", "outcome", "error", "attempts", "replica"]).to_pylist()
    by_tenant = {name: Counter(row["outcome"] for row in rows if row["tenant"] == name)
                 for name in ("shop", "batch", "stranger")}
    assert set(by_tenant["stranger"]) == {"rejected"}
    assert by_tenant["batch"]["rejected"] > 0.05 * by_tenant["batch"].total()
    assert by_tenant["shop"]["ok"] > 0.97 * by_tenant["shop"].total()
    tally = found.plane.desk.tally
    assert tally.arrived == len(rows) == tally.ended
    assert tally.answered > 100
    assert any(row["attempts"] > 1 and row["outcome"] == "ok" for row in rows)
    assert any("the first byte is out" in (row["error"] or "") for row in rows)
    assert found.journal is not None
    assert first_difference(PlaneJournal.parse(found.journal.lines())) is None


def test_without_retries_more_requests_fail(tmp_path: Path) -> None:
    text = PRODUCTION.read_text().replace("[control.retries]\nmost = 3\nratio_ppm = 200_000\n", "")
    (tmp_path / "s.toml").write_text(text)
    errors = [Counter(PlaneCase.load(path).run(1).log.text("outcome"))["error"] for path in
              (PRODUCTION, tmp_path / "s.toml")]
    assert errors[0] < errors[1]


@pytest.mark.parametrize(("old", "new", "says"), [
    ('scheduling = "fifo"', 'scheduling = "fair"', "scheduling 'fair' is unknown"),
    ("replica = 1\n", "replica = 9\n", "failures.0.replica: 9 is none of the 3"),
    ("window = 24 ", "windo = 24 ", "control.windo: unknown; did you mean 'window'?"),
    ('kind = "gamma", rate_per_s = 18.0, cv = 2.0', 'kind = "closed"', "open loop"),
])
def test_what_is_wrong_is_said_before_anything_runs(tmp_path: Path, old: str, new: str, says: str) -> None:
    (tmp_path / "s.toml").write_text(PRODUCTION.read_text().replace(old, new))
    with pytest.raises(UsageError) as caught:
        PlaneCase.load(tmp_path / "s.toml")
    assert says in str(caught.value)


def test_an_order_of_the_users_own_with_its_hash(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    kind, policy, about = load_policy(f"scheduling={tmp_path}/mine.py:LastFirst")
    assert about.startswith("mine.py:LastFirst sha256 ")
    text = PRODUCTION.read_text().replace('scheduling = "fifo"', "").replace("window = 24 ", "window = 4 ")
    (tmp_path / "s.toml").write_text(text)
    runs = [PlaneCase.load(tmp_path / "s.toml").run(1, custom) for custom in ({}, {kind: policy})]
    assert runs[0].log.table.column("admit_ns") != runs[1].log.table.column("admit_ns")
    journal = runs[1].journal
    assert journal is not None
    marked = PlaneJournal({**journal.facts, "custom": {kind: about}}, journal.entries)
    assert first_difference(marked, {kind: policy}) is None
    with pytest.raises(ValueError, match=r"scheduling: came from a file of your own, mine.py:LastFirst sha256"):
        first_difference(marked)


@pytest.mark.parametrize(("text", "says"), [
    ("scheduling=mine:Last", "write KIND=./FILE.py:CLASS"), ("queue=mine.py:Last", "KIND one of scheduling, routing"),
    ("scheduling=none.py:Last", "none.py cannot be read"),
    ("scheduling=mine.py:Lats", "has no class Lats; it has Last"),
    ("scheduling=broken.py:Last", "broken.py fails: ZeroDivisionError"),
])
def test_a_file_that_is_no_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("class Last: pass\n")
    Path("broken.py").write_text("1 / 0\n")
    with pytest.raises(UsageError) as caught:
        load_policy(text)
    assert says in str(caught.value)
