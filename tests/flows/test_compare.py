"""Comparisons: what is different is called so, what is not is not, and nothing is printed without an interval."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from workbench.cli.compare import command
from workbench.errors import Failure, UsageError
from workbench.flows import executor
from workbench.flows.compare import compare
from workbench.flows.comparison import Effort
from workbench.flows.executor import Where
from workbench.flows.replicate import Case, Task, replicate
from workbench.profile.model import Linear
from workbench.profile.profile import Parallel, Profile, Subject, read, write

BASE = """
seeds = [3]
[workload]
requests = 60
arrivals = { kind = "poisson", rate_per_s = 12.0 }
prompt_tok = { kind = "lognormal", p50_tok = 60, p95_tok = 300, max_tok = 600 }
output_tok = { kind = "lognormal", p50_tok = 10, p95_tok = 40, max_tok = 60 }
[fleet]
profile = "p.json"
replicas = 2
price_usd_per_hour = 1.0
[policies]
window = 2
[slo."*"]
ttft_s = 0.5
"""
TRACE = 'time,prompt,output\n' + "".join(f"{i * 0.1},{50 + i % 7},{5 + i % 3}\n" for i in range(60))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = Linear(coefficients_fs={"step": 10 * 10**12, "prefill_tok": 10**11, "decode_n": 10**12})
    made = Profile.model_validate({"source": "measured", "model": model.model_dump(),
                                   "rules": {"engine": "llama.cpp", "slots": 2}})
    write(made, tmp_path / "p.json")
    (tmp_path / "a.toml").write_text(BASE)
    (tmp_path / "b.toml").write_text(BASE.replace("replicas = 2", "replicas = 3"))
    (tmp_path / "t.csv").write_text(TRACE)
    return tmp_path


def row(found: dict[str, Any], metric: str, stat: str = "mean") -> dict[str, Any]:
    return next(item for item in found["comparisons"] if (item["metric"], item["stat"]) == (metric, stat))


def test_two_files_a_third_replica_is_better_and_dearer(folder: Path) -> None:
    found = compare([folder / "a.toml", folder / "b.toml"], effort=Effort(6))
    ttft, cost = row(found, "ttft_s"), row(found, "cost_usd", "value")
    assert (ttft["verdict"], cost["verdict"]) == ("better", "worse")
    assert ttft["difference"] == pytest.approx(ttft["variant_mean"] - ttft["baseline_mean"])
    assert ttft["simultaneous"]["low"] <= ttft["low"] <= ttft["difference"] <= ttft["high"] < 0
    assert [item["name"] for item in found["variants"]] == ["a", "b"]
    assert found["variants"][1]["pairing"] == "the same requests"
    assert found["replications"]["seeds"] == [3, 4, 5, 6, 7, 8]
    for item in found["variants"]:
        assert item["arrived"] == sum(item["outcomes"].values()) == 6 * 60
    assert row(found, "error_frac", "value")["verdict"] == "no difference shown"


def test_differences_are_those_of_the_runs_themselves(folder: Path) -> None:
    found = compare([folder / "a.toml", folder / "b.toml"], effort=Effort(3), metrics=["e2e_s"])
    a, b = (Case.load(folder / name) for name in ("a.toml", "b.toml"))
    gaps = [replicate(Task(b, s)).figures["all"]["e2e_s.mean"] - replicate(Task(a, s)).figures["all"]["e2e_s.mean"]
            for s in (3, 4, 5)]
    assert len(found["comparisons"]) == 1
    assert row(found, "e2e_s")["difference"] == pytest.approx(np.mean(gaps), rel=1e-12)
    assert row(found, "e2e_s")["high"] - np.mean(gaps) == pytest.approx(4.302653 * np.std(gaps, ddof=1) / 3**0.5)


def test_one_file_and_policies_make_every_combination(folder: Path) -> None:
    found = compare([folder / "a.toml"], ["router=round_robin,least_loaded", "window=2,none"], effort=Effort(2))
    assert [item["name"] for item in found["variants"]] == [
        "router=round_robin window=2", "router=round_robin window=none",
        "router=least_loaded window=2", "router=least_loaded window=none"]
    assert found["baseline"] == "router=round_robin window=2"
    assert found["variants"][1]["policies"]["window"] is None


def test_the_same_twice_is_no_difference(folder: Path) -> None:
    found = compare([folder / "a.toml", folder / "a.toml"], effort=Effort(4))
    assert {item["verdict"] for item in found["comparisons"]} == {"no difference shown"}
    assert [item["name"] for item in found["variants"]] == ["1: a", "2: a"]


def test_two_stages_reach_the_width_that_was_asked(folder: Path) -> None:
    paths = [folder / "a.toml", folder / "b.toml"]
    found = compare(paths, effort=Effort(4, 0.05, 120), metrics=["e2e_s"])
    stage, item = found["replications"]["two_stage"], row(found, "e2e_s")
    assert stage["reached"]
    assert found["replications"]["n"] == item["n"] == stage["needed"] > 4
    # Stein promises the width that the first stage's mean named
    first = compare(paths, effort=Effort(4), metrics=["e2e_s"])
    assert (item["high"] - item["low"]) / 2 <= 0.05 * row(first, "e2e_s")["baseline_mean"] * (1 + 1e-9)
    capped = compare(paths, effort=Effort(4, 0.01, 5), metrics=["e2e_s"])
    assert not capped["replications"]["two_stage"]["reached"]
    assert capped["replications"]["n"] == 5


def test_the_second_stage_narrows_the_intervals_that_are_shown(folder: Path) -> None:
    paths, names = [folder / "a.toml", folder / "b.toml"], ["e2e_s", "ttft_s", "tpot_s", "output_tok_per_s"]
    found = compare(paths, effort=Effort(4, 0.2, 300), metrics=names)
    assert found["replications"]["two_stage"]["reached"]
    assert found["replications"]["two_stage"]["level"] == pytest.approx(1 - 0.05 / 4)
    assert "Stein" in found["method"]["interval"]
    first = compare(paths, effort=Effort(4), metrics=names)
    assert "Welch" in first["method"]["interval"]
    widest = 0.0
    for mine, begun in zip(found["comparisons"], first["comparisons"], strict=True):
        ends = mine["simultaneous"]
        widest = max(widest, (ends["high"] - ends["low"]) / 2 / begun["baseline_mean"])
        assert ends["low"] < mine["low"] < mine["high"] < ends["high"]
    assert 0.15 < widest <= 0.2 * (1 + 1e-9)


def test_traces_pair_only_with_themselves_and_copies_are_refused(folder: Path) -> None:
    trace = ('[workload]\ntrace = { file = "t.csv", format = "csv", %s columns = { time = "time", '
             'prompt_tok = "prompt", output_tok = "output", unit = "s" } }\n[fleet]\nprofile = "p.json"\n')
    (folder / "fixed.toml").write_text(trace % "")
    (folder / "thin.toml").write_text(trace % "keep_frac = 0.8,")
    with pytest.raises(UsageError, match=r"fixed: its workload is the same for every seed.*`keep_frac` below 1"):
        compare([folder / "fixed.toml", folder / "thin.toml"])
    found = compare([folder / "a.toml", folder / "thin.toml"], effort=Effort(3), metrics=["e2e_s"])
    assert not row(found, "e2e_s")["paired"]
    assert "pairing is lost" in found["variants"][1]["pairing"]


def test_overload_and_unknown_percentiles_are_said(folder: Path) -> None:
    (folder / "c.toml").write_text(BASE.replace("12.0", "200.0").replace("requests = 60", "requests = 30"))
    asked = [str(folder / "a.toml"), str(folder / "c.toml"), "--replications", "2", "--out", str(folder / "x.json")]
    done = CliRunner().invoke(command, asked)
    assert "c: unstable: arrival rate " in done.stderr
    assert "ttft_s p95: not compared, n/a in" in " ".join(done.stdout.split())
    found = json.loads((folder / "x.json").read_text())
    assert {(item["metric"], item["stat"]) for item in found["not_compared"]} == {("ttft_s", "p95"), ("e2e_s", "p95")}
    assert all("simultaneous" in item for item in found["comparisons"])


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["a.toml"], "compare needs two variants"),
        (["a.toml", "--policy", "router=round_robin"], "compare needs two variants"),
        (["a.toml", "--policy", "rooter=round_robin"], "--policy rooter=round_robin: write router or queue or window"),
        (["a.toml", "--policy", "router=round_robin,leest"], "--policy: router 'leest' is unknown"),
        (["a.toml", "--policy", "window=2,2"], "--policy window=2,2: 2 twice"),
        (["a.toml", "--policy", "window=2,3", "--policy", "window=4"], "--policy window=... twice"),
        (["a.toml", "--policy", "window=2,0"], "window"),
        (["a.toml", "b.toml", "--metric", "ttft"], "--metric ttft: unknown; known: ttft_s"),
        (["a.toml", "b.toml", "--metric", "ttft_s.p97"], "ttft_s has mean, p50"),
        (["a.toml", "b.toml", "--until-half-width", "300%"], "between 0 and 100 %"),
        (["a.toml", "b.toml", "--until-half-width", "5%", "--max-replications", "4"], "is below the first stage's 10"),
        (["a.toml", "none.toml"], "no such file"),
    ],
)
def test_what_is_wrong_is_one_line(folder: Path, asked: list[str], told: str) -> None:
    words = [str(folder / word) if word.endswith(".toml") else word for word in asked]
    done = CliRunner().invoke(command, [*words, "--out", str(folder / "x.json")])
    assert isinstance(done.exception, UsageError)
    assert any(part in str(done.exception) for part in told.split("|"))
    assert not (folder / "x.json").exists()


def test_variants_say_what_they_run_on_and_what_holds_for_the_simulator_alone(folder: Path) -> None:
    subject = {"model": "Llama-3.1-8B", "quant": "bf16", "gpu": "H100", "gpus": 2}
    made = read(folder / "p.json").model_copy(update={
        "source": "silicon", "subject": Subject.model_validate(subject), "parallel": Parallel(tp=2),
        "rules": {"engine": "vllm", "order": "priority", "batching": "static"}, "kv_blocks": 999})
    write(made, folder / "q.json")
    (folder / "q.toml").write_text(BASE.replace("p.json", "q.json"))
    words = [str(folder / name) for name in ("a.toml", "q.toml")]
    done = CliRunner().invoke(command, [*words, "--replications", "2", "--out", str(folder / "x.json")])
    assert done.exception is None
    shown = " ".join(done.stdout.split())
    assert "a: 2 replicas on a profile of source measured, load" in shown
    assert "q: 2 replicas on a profile of source silicon (Llama-3.1-8B bf16, H100, TP2), load" in shown
    assert "the profiles come from different sources (measured, silicon)" in done.stderr
    line = next(line for line in done.stderr.splitlines() if "simulation only" in line)
    assert line.startswith("q: ")
    assert "order=priority (every request has the same priority" in line
    assert "batching=static" in line
    found = json.loads((folder / "x.json").read_text())
    assert [len(item["simulation_only"]) for item in found["variants"]] == [0, 2]


def test_an_overload_that_variants_share_is_said_once(folder: Path) -> None:
    (folder / "c.toml").write_text(BASE.replace("rate_per_s = 12.0", "rate_per_s = 90.0"))
    asked = [str(folder / "c.toml"), "--policy", "router=round_robin,least_loaded", "--replications", "2"]
    done = CliRunner().invoke(command, [*asked, "--out", str(folder / "x.json")])
    assert done.stderr.count("unstable") == 1
    assert "router=round_robin, router=least_loaded: unstable" in done.stderr


def test_tiers_are_compared_one_by_one(folder: Path) -> None:
    """Who is urgent gains from priority, who is not pays for it."""
    who = ('[[workload.who]]\ntenant = "web"\ntier = "gold"\npriority = 0\n'
           '[[workload.who]]\ntenant = "batch"\ntier = "bulk"\npriority = 1\n')
    text = BASE.replace("rate_per_s = 12.0", "rate_per_s = 45.0").replace("window = 2\n", "").replace(
        "requests = 60", "requests = 150")
    made = read(folder / "p.json").model_copy(update={"rules": {"engine": "vllm", "max_num_seqs": 2}, "kv_blocks": 999})
    write(made, folder / "p.json")
    for name, rules in (("fcfs", ""), ("priority", 'rules = { order = "priority" }\n')):
        (folder / f"{name}.toml").write_text(text.replace("[policies]", rules + "[policies]") + who)
    words = [str(folder / f"{name}.toml") for name in ("fcfs", "priority")]
    done = CliRunner().invoke(command, [*words, "--replications", "5", "--metric", "ttft_s", "--out",
                                        str(folder / "x.json")])
    assert done.exception is None
    found = json.loads((folder / "x.json").read_text())
    assert {row["tier"]: row["verdict"] for row in found["comparisons"]}["gold"] == "better"
    assert {row["tier"]: row["verdict"] for row in found["comparisons"]}["bulk"] == "worse"
    assert found["variants"][1]["simulation_only"] == ["order=priority"]
    for word in ("tier", "gold", "bulk"):
        assert word in done.stdout


def test_a_variant_that_can_serve_nothing_fails_before_the_runs(folder: Path) -> None:
    (folder / "c.toml").write_text(BASE.replace("replicas = 2", "replicas = 2\nrules = { ctx_per_slot_tok = 5 }"))
    with pytest.raises(Failure, match=r"c.toml: its replicas can serve no request .* tokens of context"):
        compare([folder / "a.toml", folder / "c.toml"], effort=Effort(2))


def test_one_replication_is_no_comparison(folder: Path) -> None:
    done = CliRunner().invoke(command, [str(folder / "a.toml"), str(folder / "b.toml"), "--replications", "1"])
    assert done.exit_code == 2
    with pytest.raises(UsageError, match="at least 2"):
        Effort(1)


@pytest.mark.slow
def test_processes_give_the_same_numbers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [folder / "a.toml", folder / "b.toml"]
    here = compare(paths, effort=Effort(2), where=Where(1))
    monkeypatch.setattr(executor, "WORTH_S", -1.0)
    assert compare(paths, effort=Effort(2), where=Where(2)) == here


@pytest.mark.slow
def test_ray_gives_the_same_numbers(folder: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install 'inference-workbench[distributed]'")
    paths = [folder / "a.toml", folder / "b.toml"]
    assert compare(paths, effort=Effort(4), where=Where(ray="local")) == compare(paths, effort=Effort(4))
