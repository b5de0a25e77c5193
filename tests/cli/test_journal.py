"""`workbench journal`, `sim run` of plane scenarios, and docs/control/running.md: what is shown is what happens."""

import json
import re
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from workbench import paths
from workbench.cli import main as cli_main
from workbench.control.plane.build import plane_of
from workbench.control.plane.events import Answer, Arrived, Finish, Heartbeat, Left, Reject, Release
from workbench.control.plane.journal import Entry, PlaneJournal
from workbench.flows import journal as journals
from workbench.flows.journal_story import explain

PAGE = (paths.root() or Path()) / "docs/control/running.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PRODUCTION = paths.data("scenarios") / "plane" / "production.toml"
CROWDED = """
title = "crowded"
[workload]
requests = 60
arrivals = { kind = "poisson", rate_per_s = 30.0 }
prompt_tok = { kind = "fixed", tok = 500 }
output_tok = { kind = "fixed", tok = 60 }
who = [ { tenant = "a", share = 1.0 }, { tenant = "b", share = 1.0 } ]
[fleet]
profile = "llama-3.1-8b-h100-tp1-bf16"
[client]
deadline_s = 1.5
questions = 3
asked_frac = 0.4
[control]
window = 1
[control.cache]
capacity_bytes = 100_000
ttl_ns = 1_000_000_000
[control.queue]
limit = 12
"""


def run(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    before = signal.getsignal(signal.SIGTERM)
    try:
        cli_main.main(list(words))
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        signal.signal(signal.SIGTERM, before)
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run where one waits, follows, is shed, expires and is answered from the cache."""
    from workbench.flows.plane_run import run_plane

    folder = tmp_path_factory.mktemp("crowded")
    (folder / "crowded.toml").write_text(CROWDED)
    run_plane(folder / "crowded.toml", CROWDED, folder / "out", seed=1)
    return folder / "out"


def test_the_page_shows_what_its_commands_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sims").mkdir()
    (tmp_path / "sims/scenarios").symlink_to(paths.data("scenarios"))
    monkeypatch.chdir(tmp_path)
    shown = dict(FENCE.findall(PAGE.read_text()))
    printed: dict[str, str] = {}
    for line in shown["bash"].splitlines():
        code, out, err = run(shlex.split(line)[1:], capsys)
        assert code == 0, f"{line}: {err}"
        printed[line] = out
    story = next(out for line, out in printed.items() if "explain" in line)
    assert story.strip() == shown["text"].strip()
    assert next(out for line, out in printed.items() if "replay" in line).startswith("same: ")
    named = re.findall(r"^\| `([^`]+)`", PAGE.read_text(), re.MULTILINE)
    have = {path.name.replace("seed-1", "seed-N") for path in (tmp_path / "runs/first").iterdir()}
    assert have <= {*named, "seed-N.invoices.txt", "profile.json", "seed-N.ledger.csv"}
    assert {"seed-N.parquet", "seed-N.attempts.parquet", "sla.json", "summary.json", "report.html"} <= have


def test_every_story_ends_as_the_journal_says_and_its_time_adds_up(crowded: Path) -> None:
    journal = journals.load(crowded)
    ends: dict[str, Any] = {}
    came: dict[str, int] = {}
    for entry in journal.entries:
        came.setdefault(getattr(entry.event, "request_id", ""), entry.now_ns)
        ends |= {one.request_id: (entry.now_ns, one) for one in entry.decisions
                 if isinstance(one, Reject | Answer | Finish)}
    seen = set()
    for name, (end_ns, end) in ends.items():
        story = explain(journal, name, {})
        assert story.end == (end.source if isinstance(end, Answer) else end.outcome)
        assert sum(story.spent_ns.values()) == end_ns - came[name]
        assert [step.after_ns for step in story.steps] == sorted(step.after_ns for step in story.steps)
        seen |= {place for place, span in story.spent_ns.items() if span} | {story.end}
    assert {"queued", "following", "out", "ok", "cache", "flight", "shed"} <= seen


def test_who_waited_is_told_how_many_went_meanwhile(crowded: Path) -> None:
    """Counted by hand: the releases of others between its arrival and its own."""
    journal = journals.load(crowded)
    name, since = next((one.request_id, entry.now_ns) for entry in journal.entries[60:]
                       for one in entry.decisions if isinstance(one, Release))
    arrived = next(i for i, entry in enumerate(journal.entries) if getattr(entry.event, "request_id", "") == name)
    others = 0
    for entry in journal.entries[arrived + 1:]:
        releases = [one.request_id for one in entry.decisions if isinstance(one, Release)]
        if name in releases:
            break
        others += len(releases)
    text = "\n".join(explain(journal, name, {}).lines())
    assert since > journal.entries[arrived].now_ns
    assert f"; released meanwhile: {others} (" in text
    assert "waits in line 'shared', where " in text
    assert "where nobody else is; outstanding 0: 0; released" in text


def test_a_hedge_is_called_one_and_both_attempts_are_rows(tmp_path: Path) -> None:
    from workbench.flows.plane_run import run_plane

    hedging = "[control.hedging]\nquantile_ppm = 500_000\nshare_ppm = 500_000\nleast_seen = 5"
    text = CROWDED.replace("window = 1", hedging).replace("[fleet]", "[fleet]\nreplicas = 2")
    (tmp_path / "s.toml").write_text(text)
    found = run_plane(tmp_path / "s.toml", text, tmp_path / "out", seed=1)
    journal = journals.load(tmp_path / "out")
    hedged = [one.request_id for entry in journal.entries for one in entry.decisions
              if isinstance(one, Release) and one.attempt == 2]
    assert len(hedged) == found["tally"]["hedges"] > 0
    story = explain(journal, hedged[0], {})
    assert any(" beside attempt 1: a hedge" in step.text for step in story.steps)
    assert story.end == "ok"
    rows = pq.read_table(tmp_path / "out/seed-1.attempts.parquet").to_pylist()
    both = [row["outcome"] for row in rows if row["request_id"] == hedged[0]]
    assert sorted(both) == ["cancelled", "ok"]


def test_an_attempt_on_a_lost_node_is_given_up_and_its_end_comes_late() -> None:
    """A node that falls silent: what runs there is given up without a word from it, and tried elsewhere."""
    facts = {"replicas": 2, "retries": {"most": 2}, "cluster": {"nodes": {"a": 1, "b": 1}, "dead_after_ns": 100}}
    plane = plane_of(facts)
    told = [(0, Heartbeat("a")), (0, Heartbeat("b")), (1, Arrived("r1"))]  # it runs on replica 0, which is on a
    told += [(at_ns, Heartbeat("b")) for at_ns in range(50, 300, 10)]
    entries = [Entry(now_ns, event, plane.on(now_ns, event)) for now_ns, event in told]
    entries.append(Entry(1000, Left("r1", 1), plane.on(1000, Left("r1", 1))))
    steps = [step.text for step in explain(PlaneJournal(facts, entries), "r1", {}).steps]
    assert any(text.startswith("attempt 1 at replica 0 is given up: a is down") for text in steps)
    assert not any("a hedge" in text for text in steps)


def test_a_refusal_comes_with_its_remedy(crowded: Path) -> None:
    journal = journals.load(crowded)
    shed = next(one.request_id for entry in journal.entries for one in entry.decisions
                if isinstance(one, Reject) and one.status == 503)
    steps = [step.text for step in explain(journal, shed, {}).steps]
    assert steps[-2].startswith("shed 503: queue full")
    assert steps[-1] == "remedy: more replicas, less load, or a longer line: queue.limit"


def test_replay_finds_the_first_decision_that_differs(
    crowded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (crowded / "seed-1.journal.jsonl").read_text().splitlines()
    code, out, _ = run(["journal", "replay", str(crowded)], capsys)
    assert (code, out.split(",")[0]) == (0, f"same: {len(lines) - 1} events")
    changed = next(i for i, line in enumerate(lines) if i > 20 and '"Release"' in line)
    lines[changed] = lines[changed].replace('"replica":0', '"replica":7')
    path = tmp_path / "changed.jsonl"
    path.write_text("\n".join(lines))
    code, out, _ = run(["journal", "replay", str(path)], capsys)
    assert code == 1
    assert "released to replica 7" in out.splitlines()[1]
    assert "released to replica 0" in out.splitlines()[2]
    request = json.loads(lines[-1])["decisions"][0]["request_id"]
    code, _, err = run(["journal", "explain", str(path), request], capsys)
    assert code == 1
    assert "`workbench journal replay` shows the difference" in err


def test_show_filters_by_tenant_and_kind(crowded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = journals.load(crowded)
    shown = json.loads(run(["journal", "show", str(crowded), "--kind", "reject", "--limit", "0", "--json"], capsys)[1])
    wanted = sum(any(isinstance(one, Reject) for one in entry.decisions) for entry in journal.entries)
    assert len(shown["entries"]) == wanted > 3
    for tenant in ("a", "b"):
        mine = list(journals.show(journal, tenant))
        assert all(any(name.startswith("r") for name in (one["request_id"] or "r",)) for one in mine)
        arrivals = [one for one in mine if one["kind"] == "Arrived"]
        assert all(f"arrives from {tenant}:" in one["event"] for one in arrivals if one["decisions"] == [])
    code, out, _ = run(["journal", "show", str(crowded), "--limit", "3"], capsys)
    assert code == 0
    assert out.splitlines()[-1].endswith("more; --limit 0 shows all")


@pytest.mark.parametrize(("words", "says"), [
    (["explain", "{run}", "r17"], "r17: the journal knows none of this id; did you mean r000017?"),
    (["explain", "{run}", "r00001x"], "did you mean r0000"),
    (["explain", "{run}", "what"], "knows none of this id; it has r000000 to r000059"),
    (["explain", "nowhere", "r000001"], "nowhere: no such run"),
    (["replay", "{run}", "--seed", "7"], "has no journal of seed 7; it has 1"),
    (["replay", "{run}/.."], "has no journal; run the scenario with --journal"),
    (["replay", "{run}/summary.json"], "summary.json: journal line 1: "),
    (["replay", "{run}/seed-1.parquet"], "is no journal but a binary file"),
    (["show", "{run}", "--kind", "Rejekt"], "--kind Rejekt: unknown; did you mean 'reject'"),
    (["show", "{run}", "--tenant", "c"], "--tenant c: sent nothing; known: a, b"),
])
def test_what_is_wrong_is_one_line_and_exit_2(
    crowded: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(["journal", *(word.replace("{run}", str(crowded)) for word in words)], capsys)
    assert code == 2
    assert says in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("options", "old", "new", "says"), [
    ([], "window = 1", "windo = 1", "control.windo: unknown; did you mean 'window'?"),
    ([], "window = 1", 'scheduling = "./mine.py:Mine"', "code is not taken from a scenario"),
    (["--policy", "routing=randm"], "", "", "routing 'randm' is unknown; known: "),
    (["--seed", "1", "--replications", "2"], "", "", "give --seed or --replications, not both"),
])
def test_what_a_plane_run_refuses(
    options: list[str], old: str, new: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.toml").write_text(CROWDED.replace(old, new))
    code, _, err = run(["sim", "run", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out"), *options], capsys)
    assert code == 2
    assert says in err
    assert not (tmp_path / "out").exists()


def test_a_plain_scenario_takes_no_policy(capsys: pytest.CaptureFixture[str]) -> None:
    path = paths.data("scenarios") / "small_fleet.toml"
    code, _, err = run(["sim", "run", str(path), "--policy", "scheduling=edf"], capsys)
    assert code == 2
    assert "has no [control] table" in err


def test_a_policy_of_ones_own_is_asked_for_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = ("from workbench.control.scheduling.ordered import Ordered\n\n"
            "class Mine(Ordered):\n    def key(self, item):\n        return -item.sequence\n")
    (tmp_path / "mine.py").write_text(mine)
    (tmp_path / "other.py").write_text(mine + "\n")
    (tmp_path / "s.toml").write_text(CROWDED)
    out = tmp_path / "out"
    policy = ["--policy", f"scheduling={tmp_path / 'mine.py'}:Mine"]
    assert run(["sim", "run", str(tmp_path / "s.toml"), "--seed", "1", "--out", str(out), *policy], capsys)[0] == 0
    code, _, err = run(["journal", "replay", str(out)], capsys)
    assert code == 2
    assert "scheduling came from a file of your own, mine.py:Mine sha256 " in err
    code, _, err = run(["journal", "replay", str(out), "--policy", f"scheduling={tmp_path / 'other.py'}:Mine"], capsys)
    assert code == 2
    assert "is not what the run used" in err
    assert run(["journal", "replay", str(out), *policy], capsys)[1].startswith("same: ")
    waited = next(one.request_id for entry in journals.load(out).entries[60:] for one in entry.decisions
                  if isinstance(one, Release))
    code, story, _ = run(["journal", "explain", str(out), waited, *policy], capsys)
    assert code == 0
    assert "order mine.py:Mine sha256" in story


def test_hostile_names_reach_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head = {"kind": "workbench.plane_journal", "schema": 1, "facts": {"replicas": 1}}
    event = {"now_ns": 0, "event": {"kind": "Arrived", "request_id": "r1", "tenant": "\x1b[31mred\x1b]0;x\x07"},
             "decisions": [{"kind": "Release", "request_id": "r1", "attempt": 1, "replica": 0, "model": ""}]}
    path = tmp_path / "j.jsonl"
    path.write_text(json.dumps(head) + "\n" + json.dumps(event) + "\n")
    assert PlaneJournal.parse(path.read_text().splitlines()).entries
    for words in (["explain", str(path), "r1"], ["show", str(path)]):
        code, out, err = run(["journal", *words], capsys)
        assert code == 0, err
        assert "red" in out
        assert "\x1b" not in out + err
