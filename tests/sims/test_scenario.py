"""Scenario files, `sim run`, and what it writes; every shipped scenario and the example run as they are."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sims.cost import apportion, fleet_pusd
from sims.rules import DisaggregatedRules, LlamaCppRules, VllmRules, from_facts, simulation_only
from sims.scenario import Scenario, rules_for
from workbench import paths
from workbench.cli.sim import group
from workbench.config import parse
from workbench.control.journal import Journal, first_difference
from workbench.errors import Failure, UsageError
from workbench.flows.sim import run_scenario, unstable
from workbench.metrics import summarise
from workbench.profile.locate import profile_path
from workbench.profile.model import Linear
from workbench.profile.profile import Profile, write
from workbench.runlog.table import read

SHIPPED = [*sorted(paths.data("scenarios").glob("*.toml")), paths.data("examples") / "scenario.toml"]
SMALL = """
title = "small"
seeds = [3, 4]
[workload]
requests = 40
warmup_requests = 5
arrivals = { kind = "poisson", rate_per_s = 100.0 }
prompt_tok = { kind = "fixed", tok = 50 }
output_tok = { kind = "fixed", tok = 10 }
[fleet]
profile = "p.json"
replicas = 2
price_usd_per_hour = 1.0
[policies]
queue = "shortest_first"
router = { name = "round_robin" }
window = 2
[slo.standard]
ttft_s = 0.1
"""


def profile(**more: Any) -> Profile:
    """10 ms a step, 0.1 ms a prompt token, 1 ms a decode."""
    model = Linear(coefficients_fs={"step": 10 * 10**12, "prefill_tok": 10**11, "decode_n": 10**12})
    return Profile.model_validate({"source": "measured", "model": model.model_dump()} | more)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    write(profile(rules={"engine": "llama.cpp", "slots": 2}), tmp_path / "p.json")
    (tmp_path / "s.toml").write_text(SMALL)
    return tmp_path / "s.toml"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_runs(path: Path, tmp_path: Path) -> None:
    found = run_scenario(path, tmp_path / "out", seed=1)
    assert found["outcomes"]["ok"] == found["requests"]
    assert found["sim"]["warning"] is None
    assert path.read_text().startswith("# ")


def test_a_run_writes_log_journal_and_summary(scenario: Path, tmp_path: Path) -> None:
    found = run_scenario(scenario, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "profile.json", "scenario.toml", "seed-3.journal.jsonl", "seed-3.parquet", "seed-4.journal.jsonl",
        "seed-4.parquet", "summary.json"]
    assert (tmp_path / "out/scenario.toml").read_text() == SMALL
    assert json.loads((tmp_path / "out/summary.json").read_text()) == found
    log = read(tmp_path / "out/seed-3.parquet")
    assert (log.world, len(log), log.provenance.seeds) == ("simulated", 40, {"schedule": 3})
    assert log.provenance.profile_sha256 == found["basis"]["profile_sha256"] != ""
    journal = Journal.parse((tmp_path / "out/seed-4.journal.jsonl").read_text().splitlines())
    assert journal.setup.queue == "shortest_first"
    assert first_difference(journal) is None
    first, second = found["runs"]
    mean = found["metrics"]["ttft_s"]["mean"]
    assert mean["simulated"] == pytest.approx(
        sum(item["metrics"]["ttft_s"]["mean"]["simulated"] for item in (first, second)) / 2)
    assert mean["low"] < mean["simulated"] < mean["high"]
    assert found["metrics"]["ttft_s"]["n"] == {"simulated": 70}
    assert found["metrics"]["error_frac"]["value"]["high"] <= 1.0
    assert first["sim"]["cost_usd"] == pytest.approx(2 * first["sim"]["duration_s"] / 3600, rel=1e-9)


def test_the_same_seed_gives_the_same_log_and_another_does_not(scenario: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run_scenario(scenario, tmp_path / name, seed=seed)
    a, b, c = (read(tmp_path / name / f"seed-{seed}.parquet").table for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    assert a.equals(b)
    assert not a.equals(c)


def test_overload_is_named_and_ends_at_the_horizon(scenario: Path, tmp_path: Path) -> None:
    scenario.write_text("horizon_s = 1.0\n" + SMALL.replace("requests = 40", "requests = 400"))
    found = run_scenario(scenario, tmp_path / "out", seed=3)
    assert found["sim"]["warning"].startswith("unstable: arrival rate ")
    assert found["sim"]["duration_s"] == 1.0
    assert found["outcomes"]["unfinished"] > 0
    assert sum(found["outcomes"].values()) == found["requests"] == found["runs"][0]["arrived"] - 5
    assert found["requests"] + found["warmup"] + found["not_arrived"] == 400


@pytest.mark.parametrize("closed", [False, True])
def test_requests_that_never_arrived_count_in_no_metric(scenario: Path, tmp_path: Path, closed: bool) -> None:
    """What is due after the horizon is no error and no missed promise; what is inside at the horizon is."""
    text = SMALL.replace("requests = 40", "requests = 400").replace("rate_per_s = 100.0", "rate_per_s = 5.0")
    if closed:
        text = "concurrency = 1\n" + text.replace('{ kind = "poisson", rate_per_s = 5.0 }', '{ kind = "closed" }')
    scenario.write_text("horizon_s = 4.0\n" + text)
    run = run_scenario(scenario, tmp_path / "out", seed=3)["runs"][0]
    log = read(tmp_path / "out/seed-3.parquet")
    came = [row for row in log.rows() if row.sent_ns is not None]
    assert len(log) == 400 > run["not_arrived"] == 400 - len(came) > 300
    counted = [row for row in came if not row.warmup]
    failed = sum(row.outcome != "ok" for row in counted) / len(counted)
    assert run["metrics"]["error_frac"]["value"]["simulated"] == pytest.approx(failed)
    assert failed < 0.2
    met = sum(row.outcome == "ok" and (row.first_token_ns or 0) - (row.sent_ns or 0) <= 10**8 for row in counted)
    assert run["metrics"]["slo_attainment_frac"]["value"]["simulated"] == pytest.approx(met / len(counted))
    assert summarise(replace(log, provenance=replace(log.provenance, world="real")))["not_arrived"] == 0


def test_what_is_rejected_loads_nothing(scenario: Path, tmp_path: Path) -> None:
    """Half of the requests can never be served: twice the saturation rate in all is a load of one half each."""
    lengths = '{ kind = "lognormal", p50_tok = 100, p95_tok = 1000, max_tok = 4000 }'
    text = SMALL.replace('{ kind = "fixed", tok = 50 }', lengths).replace("requests = 40", "requests = 400")
    text = text.replace("replicas = 2", "replicas = 2\nrules = { ctx_per_slot_tok = 110 }")
    scenario.write_text(text.replace("rate_per_s = 100.0", "rate_per_s = 30.0"))
    found = run_scenario(scenario, tmp_path / "out", seed=3)
    sim, rejected = found["sim"], found["runs"][0]["rejected"]["requests"]
    assert 150 < rejected < 250
    share = 1 - rejected / 400
    assert sim["servable_rate_rps"] == pytest.approx(sim["arrival_rate_rps"] * share, rel=0.05)
    assert sim["load_frac"] == pytest.approx(sim["servable_rate_rps"] / sim["saturation_rps"])
    peak = sim["saturation_rps"]
    scenario.write_text(text.replace("rate_per_s = 100.0", f"rate_per_s = {1.4 * peak}"))
    found = run_scenario(scenario, tmp_path / "crowd", seed=3)
    assert found["sim"]["arrival_rate_rps"] > peak
    assert found["sim"]["warning"] is None


def test_a_fleet_that_can_serve_nothing_fails_with_the_reason(scenario: Path, tmp_path: Path) -> None:
    scenario.write_text(SMALL.replace("replicas = 2", "replicas = 2\nrules = { ctx_per_slot_tok = 30 }"))
    with pytest.raises(Failure, match=r"s.toml: its replicas can serve no request .* needs 60 tokens of context"):
        run_scenario(scenario, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unstable_says_by_how_much() -> None:
    assert unstable(2.6, 2.0) is not None
    assert "1.3x the saturation rate (2.6 against 2 requests/s)" in str(unstable(2.6, 2.0))
    assert unstable(1.9, 2.0) is None
    assert unstable(None, 2.0) is None
    assert unstable(2.0, None) is None


def test_a_closed_loop_from_a_file(scenario: Path, tmp_path: Path) -> None:
    text = SMALL.replace('{ kind = "poisson", rate_per_s = 100.0 }', '{ kind = "closed" }')
    scenario.write_text("concurrency = 3\n" + text)
    found = run_scenario(scenario, tmp_path / "out")
    assert found["outcomes"]["ok"] == found["requests"]
    assert found["sim"]["load_frac"] is None


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[policies]", "[polices]", "did you mean 'policies'"),
        ('"shortest_first"', '"shortest"', "policies: queue 'shortest' is unknown"),
        ('{ name = "round_robin" }', '{ name = "round_robin", parameters = { k = 1 } }', "parameter 'k' is unknown"),
        ("window = 2", "window = 0", "policies.window"),
        ("replicas = 2", "replicas = 0", "fleet.replicas"),
        ("price_usd_per_hour = 1.0", "price_usd_per_hour = -1.0", "fleet.price_usd_per_hour"),
        ("price_usd_per_hour = 1.0", "price_usd_per_hour = 0.0", "a price is above 0; without a price leave the key"),
        ("price_usd_per_hour = 1.0", "price_usd_per_hour = 700.0", "700.0 means 'not offered'"),
        ("rate_per_s = 100.0", "rate_per_s = -1.0", "rate_per_s"),
        ("requests = 40", "requests = 0", "requests"),
        ("seeds = [3, 4]", "seeds = [3, 3]", "the same seed twice"),
        ("seeds = [3, 4]", "seeds = [-3]", "a seed is at least 0"),
        ("seeds = [3, 4]", "concurrency = 2", "concurrency is given with closed arrivals"),
        ('"p.json"', '"q.json"', "no profile that ships"),
        ("replicas = 2", "rules = { slot = 3 }", "fleet.rules.slot: unknown here"),
        ("replicas = 2", "rules = { slots = 0 }", "slots is 0"),
        ("seeds = [3, 4]", "seeds = [3, 4]\nreplications = 3", "give seeds or replications"),
        ("replicas = 2", 'outside_range = "ignore"', "fleet.outside_range"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(
    scenario: Path, tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in SMALL
    scenario.write_text(SMALL.replace(old, new))
    with pytest.raises(UsageError) as caught:
        run_scenario(scenario, tmp_path / "out")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_rules_come_from_the_profile_kv_included() -> None:
    found = profile(rules={"engine": "vllm", "max_num_seqs": 8}, kv_blocks=99, block_tok=32)
    assert rules_for(found, {}) == VllmRules(max_num_seqs=8, kv_blocks=99, block_tok=32)
    assert rules_for(found, {"kv_blocks": 10}) == VllmRules(max_num_seqs=8, kv_blocks=10, block_tok=32)
    assert rules_for(profile(), {"slots": 8}) == LlamaCppRules(slots=8)


def test_both_modes_give_the_same_log_and_say_which_ran(tmp_path: Path) -> None:
    made = profile(rules={"engine": "vllm", "max_num_seqs": 8}, kv_blocks=99)
    write(made, tmp_path / "p.json")
    for mode in ("macro", "iteration"):
        (tmp_path / f"{mode}.toml").write_text(f'mode = "{mode}"\n' + SMALL)
        found = run_scenario(tmp_path / f"{mode}.toml", tmp_path / mode, seed=3)
        assert found["sim"]["mode"] == mode
    jumped, single = (read(tmp_path / mode / "seed-3.parquet").table for mode in ("macro", "iteration"))
    assert jumped.equals(single)


def test_wrong_rules_name_their_key() -> None:
    vllm = profile(rules={"engine": "vllm"}, kv_blocks=99)
    pools: dict[str, Any] = {"engine": "vllm-disaggregated", "kv_bytes_per_tok": 10, "link_bytes_per_s": 1e9}
    found = rules_for(vllm, pools | {"decode": {"max_num_seqs": 7}})
    assert isinstance(found, DisaggregatedRules)
    assert (found.prefill.max_num_seqs, found.decode.max_num_seqs, found.decode.kv_blocks) == (128, 7, 99)
    for wrong, told in (
        (pools | {"decode": {"max_seqs": 7}}, "fleet.rules.decode.max_seqs: unknown here"),
        (pools | {"decode": 7}, "fleet.rules.decode: 7: write a table"),
        ({"acceptance": "high"}, "vllm: acceptance is 'high'; it must be a finite number"),
        ({"acceptance": True}, "acceptance is True"),
        ({"host_bytes_per_s": float("inf")}, "host_bytes_per_s is inf"),
        ({"chunked_prefill": "no"}, "vllm: chunked_prefill is 'no'; it must be true or false"),
        ({"prefix_caching": 1}, "prefix_caching is 1; it must be true or false"),
        ({"max_model_len_tok": "a"}, "max_model_len_tok is 'a'; it must be a whole number of at least 1"),
        ({"max_model_len_tok": 0}, "max_model_len_tok is 0"),
        ({"engine": "llama.cpp", "kv_unified": "yes"}, "llama.cpp: kv_unified is 'yes'; it must be true or false"),
        ({"engine": "llama.cpp", "used_slots": 3}, "fleet.rules: a value of the wrong kind"),
        (pools | {"link_bytes_per_s": "fast"}, "vllm-disaggregated: link_bytes_per_s is 'fast'"),
        (pools | {"decode": {"async_scheduling": "on"}}, "decode pool: vllm: async_scheduling is 'on'"),
        ({"engine": "tgi"}, "engine 'tgi' has no batching rules here"),
        ({"kv_blocks": 0}, "kv_blocks is 0"),
    ):
        with pytest.raises(UsageError, match=re.escape(told)):
            rules_for(vllm, wrong)
    with pytest.raises(UsageError, match="kv_blocks is not known"):
        rules_for(profile(rules={"engine": "vllm"}), {})
    assert rules_for(profile(rules={"engine": "vllm"}), {"kv_blocks": 5}) == VllmRules(kv_blocks=5)


def test_options_that_no_engine_here_has_are_named() -> None:
    assert simulation_only(VllmRules(kv_blocks=9, draft_tok=2)) == simulation_only(LlamaCppRules()) == ()
    old = VllmRules(kv_blocks=9, batching="static", kv_reserve="contiguous")
    assert simulation_only(old) == ("batching=static", "kv_reserve=contiguous")
    facts = {"engine": "vllm-disaggregated", "kv_bytes_per_tok": 1, "link_bytes_per_s": 1.0, "kv_blocks": 9}
    assert simulation_only(from_facts(facts | {"decode": {"order": "priority"}})) == ("decode.order=priority",)


def test_a_profile_is_a_file_here_or_one_that_ships(tmp_path: Path) -> None:
    (tmp_path / "mine.json").touch()
    assert profile_path("mine.json", tmp_path, "s.toml", "fleet.profile") == tmp_path / "mine.json"
    assert profile_path("example-cpu-f16", tmp_path, "s.toml", "fleet.profile").is_file()
    (tmp_path / "sub").mkdir()
    with pytest.raises(UsageError, match=r"s.toml: fleet.profile: '../mine.json' leads out of the file's folder"):
        profile_path("../mine.json", tmp_path / "sub", "s.toml", "fleet.profile")
    with pytest.raises(UsageError, match="no profile that ships"):
        profile_path("two", tmp_path, "s.toml", "fleet.profile")


def test_the_command_prints_one_json_object_or_a_table(scenario: Path, tmp_path: Path) -> None:
    asked = [str(scenario), "--out", str(tmp_path / "out"), "--seed", "5"]
    done = CliRunner().invoke(group, ["run", *asked, "--json"])
    found = json.loads(done.stdout)
    assert (found["kind"], found["seeds"]) == ("workbench.simulation", [5])
    assert found["metrics"]["e2e_s"]["mean"]["simulated"] > 0
    assert "no measured range" in done.stderr
    again = CliRunner().invoke(group, ["run", *asked])
    assert "is there already" in str(again.exception), "two runs never mix in one folder"
    asked[2] = str(tmp_path / "other")
    shown = CliRunner().invoke(group, ["run", *asked])
    assert "router round_robin" in " ".join(shown.stdout.split())  # wherever the line was wrapped
    assert "busy" in shown.stdout


def test_the_table_of_several_seeds_has_intervals(scenario: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(group, ["run", str(scenario), "--out", str(tmp_path / "out")])
    assert "95 % intervals over 2 seeds" in done.stdout
    line = next(line for line in done.stdout.splitlines() if "ttft_s mean" in line)
    assert len(re.findall(r"[\d.]+ m?s", line)) == 3
    alone = CliRunner().invoke(group, ["run", str(scenario), "--out", str(tmp_path / "one"), "--seed", "3"])
    assert "intervals" not in alone.stdout


def test_overload_and_options_of_the_simulator_alone_are_said_once(scenario: Path, tmp_path: Path) -> None:
    write(profile(rules={"engine": "vllm", "max_num_seqs": 2, "order": "priority"}, kv_blocks=99), tmp_path / "p.json")
    scenario.write_text("horizon_s = 1.0\n" + SMALL.replace("requests = 40", "requests = 400"))
    done = CliRunner().invoke(group, ["run", str(scenario), "--out", str(tmp_path / "out")])
    assert done.stderr.count("unstable") == 1
    assert done.stderr.count("simulation only") == 1
    assert "order=priority (every request has the same priority" in done.stderr
    assert "had not arrived at the horizon" in " ".join(done.stdout.split())
    found = json.loads((tmp_path / "out/summary.json").read_text())
    assert len(found["simulation_only"]) == 1


def test_a_profile_asked_outside_its_range_is_said(scenario: Path, tmp_path: Path) -> None:
    ranges = {"regions": {"decode": 5, "prefill": 5, "mixed": 5}, "bounds": {"decode_n": {"low": 1, "high": 1}}}
    write(profile(rules={"engine": "llama.cpp", "slots": 2}, ranges=ranges), tmp_path / "p.json")
    done = CliRunner().invoke(group, ["run", str(scenario), "--out", str(tmp_path / "out"), "--seed", "5"])
    assert "outside the range" in done.stderr
    assert "decode_n" in done.stderr


def test_a_profile_asked_outside_its_range_may_refuse(scenario: Path, tmp_path: Path) -> None:
    ranges = {"regions": {"decode": 5, "prefill": 5, "mixed": 5}, "bounds": {"decode_n": {"low": 1, "high": 1}}}
    write(profile(rules={"engine": "llama.cpp", "slots": 2}, ranges=ranges), tmp_path / "p.json")
    scenario.write_text(SMALL.replace("replicas = 2", 'replicas = 2\noutside_range = "refuse"'))
    with pytest.raises(Failure, match=r's.toml: fleet.outside_range: prefill_tok 50 is outside .*"count"'):
        run_scenario(scenario, tmp_path / "out", seed=3)


def test_replications_continue_the_seeds() -> None:
    def seeds(head: str, n: int | None = None) -> tuple[int, ...]:
        return parse(Scenario, SMALL.replace("seeds = [3, 4]", head), "x.toml").replicated(n)

    assert seeds("seeds = [3, 9]") == (3, 9)
    assert seeds("seeds = [3, 9]", 4) == (3, 9, 10, 11)
    assert seeds("seeds = [3, 9]", 1) == (3,)
    assert seeds("replications = 3") == (1, 2, 3)
    assert seeds("seeds = [7]\nreplications = 2", 3) == (7, 8, 9)


def test_requests_that_can_never_be_served_are_counted_one_by_one(scenario: Path, tmp_path: Path) -> None:
    text = SMALL.replace('prompt_tok = { kind = "fixed", tok = 50 }',
                         'prompt_tok = { kind = "lognormal", p50_tok = 60, p95_tok = 300, max_tok = 1000 }')
    scenario.write_text(text.replace("replicas = 2", "replicas = 2\nrules = { ctx_per_slot_tok = 200 }"))
    done = CliRunner().invoke(group, ["run", str(scenario), "--out", str(tmp_path / "out"), "--seed", "5", "--json"])
    found = json.loads(done.stdout)
    run = found["runs"][0]
    assert 0 < run["rejected"]["requests"] < run["arrived"] == 40
    assert sum(found["outcomes"].values()) == found["requests"] == 35
    assert f"{run['rejected']['requests']} of 40 requests can never be served here" in done.stderr


def test_warmup_beyond_what_is_declared_is_looked_for(scenario: Path, tmp_path: Path) -> None:
    found = run_scenario(scenario, tmp_path / "a", seed=3)
    assert "too few" in found["sim"]["warmup_found"]["why_not"]
    scenario.write_text(SMALL.replace("requests = 40", "requests = 400"))
    assert run_scenario(scenario, tmp_path / "b", seed=3)["sim"]["warmup_found"]["of"] == 395


def test_runs_of_one_second_get_folders_of_their_own(
    scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = {run_scenario(scenario, seed=1)["out"] for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.startswith("runs/sim-") for folder in folders)


def test_scenario_defaults_are_one_replica_fcfs() -> None:
    text = SMALL[: SMALL.index("replicas")] + ""
    found = parse(Scenario, text, "x.toml")
    assert (found.policies.queue.name, found.policies.router.name, found.policies.window) == (
        "fcfs", "least_loaded", None)
    assert found.fleet.replicas == 1


def test_cost_parts_add_up_by_largest_remainder() -> None:
    assert apportion(10, [1, 1, 1]) == [4, 3, 3]
    assert apportion(100, [0, 1, 2]) == [0, 33, 67]
    assert apportion(7, [0, 0]) == [0, 0]
    assert fleet_pusd(3.6, 2, 1_000_000_000) == 2 * 10**9
