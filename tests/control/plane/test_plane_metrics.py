"""One metric schema: exact values by hand, conservation against the plane's own counts, text that Prometheus reads."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fleet_play import FleetPlay
from hypothesis import given, settings
from hypothesis import strategies as st
from played import EVERYTHING, Play
from prometheus_client.parser import text_string_to_metric_families
from test_plane_hedging import RACES

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import Arrived, Cancel, FirstToken, Gone, Left, Reject, Release, Report
from workbench.control.plane.metrics import ObservedPlane, PlaneMetrics, models_of
from workbench.control.telemetry.schema import BY_NAME, SCHEMA
from workbench.control.telemetry.values import Values

ROOT = Path(__file__).parents[3]
S = 10**9
RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"


def test_one_request_by_hand() -> None:
    plane = ObservedPlane(plane_of({
        "replicas": [{"models": ["m"]}], "window": 1, "retries": {"most": 2, "wait_ns": 1, "burst": 9}}))
    plane.on(0, Arrived("a", model="m", prompt_tok=30))
    plane.on(0, Arrived("b", model="m", prompt_tok=30))
    values = plane.metrics.values
    assert (values.get(RUNNING, "m"), values.get(WAITING)) == (1, 1)
    plane.on(2 * S, FirstToken("a", 1))
    plane.on(5 * S, Left("a", 1, "ok", 30, 16, 4))
    assert (values.get(RUNNING, "m"), values.get(WAITING)) == (1, 0)
    plane.on(6 * S, Gone("b"))
    plane.on(6 * S, Report(0, 6 * S, 0, 0, 250_000))
    found = {one.name: {labels: h.total for labels, h in values.histograms[one.name].items()} for one in SCHEMA
             if one.buckets}
    assert found == {
        "vllm:time_to_first_token_seconds": {("m",): 2 * S}, "vllm:request_queue_time_seconds": {("m",): 5 * S},
        "vllm:request_prefill_time_seconds": {("m",): 2 * S}, "vllm:request_decode_time_seconds": {("m",): 3 * S},
        "vllm:request_time_per_output_token_seconds": {("m",): S}, "vllm:e2e_request_latency_seconds": {("m",): 5 * S},
        "vllm:request_prompt_tokens": {("m",): 30}, "vllm:request_generation_tokens": {("m",): 4}}
    assert {name: numbers for name, numbers in values.numbers.items() if any(numbers.values())} == {
        "vllm:kv_cache_usage_perc": {("0",): 250_000}, "vllm:prompt_tokens_total": {("m",): 30},
        "vllm:generation_tokens_total": {("m",): 4}, "vllm:prefix_cache_queries_total": {("m",): 30},
        "vllm:prefix_cache_hits_total": {("m",): 16}, "vllm:prompt_tokens_cached_total": {("m",): 16},
        "workbench_arrivals_total": {(): 2},
        "vllm:request_success_total": {("m", "stop"): 1, ("m", "abort"): 1},
        "workbench_requests_total": {("ok",): 1, ("cancelled",): 1},
        "workbench_attempts_total": {("ok",): 1, ("cancelled",): 1}}
    assert (values.get(RUNNING, "m"), values.get(WAITING)) == (0, 0)


@given(st.integers(0, 10**6), st.sampled_from([EVERYTHING, RACES]))
def test_the_counts_are_the_planes_own_at_every_event(seed: int, facts: Mapping[str, Any]) -> None:
    play = Play(facts, seed)
    play.plane = plane = ObservedPlane(play.plane)
    values, tally = plane.metrics.values, plane.desk.tally
    for _ in range(60):
        play.step()
        out = sum(len(state.out) for state in plane.desk.inside.values())
        assert sum(values.numbers[RUNNING].values()) == out
        assert values.get(WAITING) == sum(not state.out for state in plane.desk.inside.values())
    play.drain()
    ends = {"ok": tally.ok, "error": tally.error, "cancelled": tally.cancelled, "rejected": tally.rejected,
            "shed": tally.shed, "expired": tally.expired, "answered": tally.answered}
    assert {name: values.get("workbench_requests_total", name) for name in ends} == ends
    assert values.get("workbench_arrivals_total") == tally.arrived
    assert sum(values.numbers["workbench_attempts_total"].values()) == tally.released
    assert values.get("workbench_charged_usd") == tally.charged_pusd
    assert not any(values.numbers[RUNNING].values())
    assert PlaneMetrics.of(play.entries, models_of(plane)).values == values


def test_second_attempts_are_counted_where_they_are() -> None:
    """A long play in which many race: two attempts of a request run, none of it waits."""
    play, most = Play(RACES, 3), 0
    play.plane = plane = ObservedPlane(play.plane)
    for _ in range(700):
        play.step()
        states = plane.desk.inside.values()
        most = max(most, *[len(state.out) for state in states], 0)
        assert sum(plane.metrics.values.numbers[RUNNING].values()) == sum(len(state.out) for state in states)
        assert plane.metrics.values.get(WAITING) == sum(not state.out for state in states)
    assert most == 2


def test_replayed_in_any_split_the_values_are_the_same() -> None:
    play = Play(EVERYTHING, 3)
    for _ in range(300):
        play.step()
    whole, parts = PlaneMetrics.of(play.entries), PlaneMetrics()
    for now_ns, event, decisions in play.entries:
        parts.told(now_ns, event, iter(decisions))
    assert parts.values == whole.values
    assert parts.values.text() == whole.values.text()
    changed = [(now, event, tuple(one for one in decided if not isinstance(one, Cancel)))
               for now, event, decided in play.entries]
    assert PlaneMetrics.of(changed).values != whole.values


def text_of_a_life() -> tuple[str, Values]:
    play = Play(EVERYTHING, 11)
    for _ in range(400):
        play.step()
    values = PlaneMetrics.of(play.entries).values
    return values.text(), values


def test_the_text_says_what_the_values_are() -> None:
    """Read by Prometheus' own Python client."""
    text, values = text_of_a_life()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for one in SCHEMA:
        family = families[one.name.removesuffix("_total")]
        assert family.type == one.kind
        told = {(sample.name, tuple(sample.labels.values())): sample.value for sample in family.samples}
        if not one.buckets:
            assert told == {(one.name, labels): n / one.scale for labels, n in values.numbers[one.name].items()}
            continue
        for labels, histogram in values.histograms[one.name].items():
            assert told[f"{one.name}_count", labels] == sum(histogram.counts)
            assert told[f"{one.name}_sum", labels] == histogram.total / one.scale
            steps = [told[f"{one.name}_bucket", (*labels, le)] for name, (*same, le) in told
                     if name.endswith("_bucket") and tuple(same) == labels]
            assert steps == [sum(histogram.counts[: i + 1]) for i in range(len(histogram.counts))]


def test_promtool_reads_it() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install --no-install-recommends prometheus)")
    text, _ = text_of_a_life()
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60,
                          check=False)
    remarks = [line for line in done.stderr.splitlines() if line]
    assert not [line for line in remarks if "metric names should not contain ':'" not in line]  # vLLM's names have one
    assert {line.split()[0] for line in remarks} <= {one.name for one in SCHEMA if one.vllm}
    broken = subprocess.run([promtool, "check", "metrics"], input=text.replace('le="+Inf"', 'le="Inf"""'),
                            capture_output=True, text=True, timeout=60, check=False)
    assert broken.returncode == 1


def test_hostile_names_stay_inside_their_quotes() -> None:
    evil = 'm"} 1\nworkbench_up{x="\\'
    plane = ObservedPlane(plane_of({"replicas": [{"models": [evil]}]}))
    plane.on(0, Arrived("a", model=evil))
    (sample,) = [sample for family in text_string_to_metric_families(plane.metrics.values.text())
                 for sample in family.samples if family.name == RUNNING]
    assert sample.labels == {"model_name": evil}


def test_the_first_byte_of_a_cancelled_attempt_is_no_first_byte() -> None:
    plane = ObservedPlane(plane_of({"replicas": [{"models": ["m"]}]}))
    plane.on(0, Arrived("a", model="m"))
    plane.on(S, FirstToken("a", 7))
    assert not plane.metrics.values.histograms["vllm:time_to_first_token_seconds"]
    plane.on(2 * S, Left("a", 1, "ok", 1, 0, 1))
    assert plane.metrics.values.histograms["vllm:time_to_first_token_seconds"]["m",].total == 2 * S


def test_names_that_clients_invent_make_no_series() -> None:
    plane = ObservedPlane(plane_of({"models": {"versions": [
        {"model": "m", "version": "1", "revision": "r", "context_tok": 99}]}}))
    for i in range(50):
        assert any(isinstance(one, Reject) for one in plane.on(i, Arrived(f"r{i}", model=f"made up {i}")))
    assert "made up" not in plane.metrics.values.text()
    assert any(isinstance(one, Release) for one in plane.on(60, Arrived("ok", model="m@1")))


def test_names_that_no_facts_know_are_one_series_where_any_is_served() -> None:
    plane, entries = ObservedPlane(plane_of({"replicas": [{"models": ["x"]}, {}], "window": 999})), []
    for i, model in enumerate(["x", "", *(f"made up {i}" for i in range(50))]):
        entries.append((i, Arrived(f"r{i}", model=model), plane.on(i, Arrived(f"r{i}", model=model))))
    values = plane.metrics.values
    assert values.numbers[RUNNING] == {("x",): 1, ("",): 1, ("other",): 50}
    assert "made up" not in values.text()
    assert PlaneMetrics.of(entries, models_of(plane)).values == values
    for i in range(52):
        plane.on(99, Left(f"r{i}", 1, "ok", 1, 0, 1))
    assert set(values.histograms["vllm:e2e_request_latency_seconds"]) == {("x",), ("",), ("other",)}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_the_counts_are_the_planes_own_while_nodes_die(seed: int) -> None:
    """What is on a replica that is taken for dead has no end of its own: its stop is one."""
    rng, nodes = Random(seed), {"a": 2, "b": 2, "c": 2}
    play = FleetPlay({
        "replicas": [{}] * 3 + [{"started": False}] * 2, "window": 3,
        "retries": {"ratio_ppm": 10**6, "most": 3}, "hedging": {"least_seen": 1, "window": 9, "share_ppm": 500_000},
        "cluster": {"nodes": nodes, "dead_after_ns": 3 * S, "probation_ns": 4 * S, "lease_ns": rng.choice([1, 5]) * S},
        "autoscale": {"every_ns": 2 * S, "in_ns": 6 * S, "least": 1}}, cold_ns=2 * S, hedged=True)
    play.plane = plane = ObservedPlane(play.plane)
    values, tally = plane.metrics.values, plane.desk.tally
    play.watch = lambda: check_counts(plane)
    play.heartbeats(nodes, S, 60 * S)
    for _ in range(12):
        for _ in range(rng.randint(0, 6)):
            play.arrive()
        play.silent = {rng.choice("abc")} if rng.random() < 0.6 else set()
        for name, state in list(plane.desk.inside.items()):
            if state.out and rng.random() < 0.3:
                play.tell(FirstToken(name, min(state.out)))
        play.run(play.now_ns + rng.randint(1, 5) * S)
    play.silent = set()
    play.run(90 * S)
    assert sum(values.numbers["workbench_attempts_total"].values()) == tally.left == tally.released
    assert PlaneMetrics.of(play.entries, models_of(plane)).values == values


def check_counts(plane: ObservedPlane) -> None:
    states, values = plane.desk.inside.values(), plane.metrics.values
    assert sum(values.numbers[RUNNING].values()) == sum(len(state.out) for state in states)
    assert values.get(WAITING) == sum(not state.out for state in states)
    assert sum(values.numbers["workbench_attempts_total"].values()) == plane.desk.tally.left


def test_an_edge_belongs_to_its_bucket() -> None:
    values = Values()
    for at_ns in (0, 10**6, 10**6 + 1, 2_560 * S, 2_560 * S + 1):
        values.observe("vllm:time_to_first_token_seconds", ("m",), at_ns)
    counts = values.histograms["vllm:time_to_first_token_seconds"]["m",].counts
    assert (counts[0], counts[1], counts[-2], counts[-1], sum(counts)) == (2, 1, 1, 1, 5)
    with pytest.raises(KeyError):
        values.add("workbench_unheard_of")


def test_engines_are_read_by_the_same_names() -> None:
    """What the load generator scrapes of vLLM is in the schema under that name."""
    modules = sorted((ROOT / "engines").glob("*.py"))  # not their environments
    text = "".join(path.read_text(encoding="utf-8") for path in modules)
    scraped = set(re.findall(r'"(vllm:[a-z_]+)"', text))
    of_an_engine = {"vllm:iteration_tokens_total_count", "vllm:spec_decode_num_draft_tokens_total",
                    "vllm:spec_decode_num_accepted_tokens_total"}  # inside a replica: no policy reads them
    assert len(scraped) > 5
    assert scraped - of_an_engine <= set(BY_NAME)


def test_the_page_lists_the_schema() -> None:
    page = (ROOT / "docs/control/metrics.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    unit = {1: "", 10**6: "share", 10**9: "s", 10**12: "USD"}
    assert rows == [
        f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} | "
        f"{unit[one.scale]} | {one.here} |" for one in SCHEMA]
