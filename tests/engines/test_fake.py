"""The fake engine is the simulator: its times are equal, not close."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from engine_client import events, post
from hypothesis import given
from hypothesis import strategies as st

import engines
from engines.fake.ask import BadRequest, understand
from engines.fake.driver import Driver
from engines.fake.times import PlainCost
from sims.replica import Replica, Request
from sims.rules import EngineRules, LlamaCppRules, VllmRules
from workbench.errors import ConfigError, Failure
from workbench.profile.model import Linear
from workbench.profile.profile import Overhead, Profile, write

Job = tuple[int, int, int]  # (arrival in ns, prompt tokens, output tokens)
RULES = LlamaCppRules(slots=2, n_batch=16, n_ubatch=16, ctx_per_slot_tok=256)


def simulated(jobs: list[Job], rules: EngineRules = RULES) -> dict[str, list[int]]:
    """Token times by the replica alone, driven by a plain loop that owes nothing to the driver."""
    replica = Replica(rules, PlainCost())
    waiting = sorted((at, n, Request(str(n), prompt, out)) for n, (at, prompt, out) in enumerate(jobs))
    times: dict[str, list[int]] = {str(n): [] for n in range(len(jobs))}
    now = 0
    while waiting or not replica.idle:
        if replica.idle:
            now = max(now, waiting[0][0])
        while waiting and waiting[0][0] <= now:
            replica.submit(now, waiting.pop(0)[2])
        step = replica.step(now)
        if step is None:  # one step ahead: who left last gave up its seat now
            continue
        now = step.end_ns
        for name, tok in zip(step.emitted, step.tokens or [1] * len(step.emitted), strict=True):
            times[name] += [now] * tok
    return times


async def _drive(jobs: list[Job], rules: EngineRules = RULES) -> dict[str, list[int]]:
    driver = Driver(Replica(rules, PlainCost()), "virtual", start_after=len(jobs))
    times: dict[str, list[int]] = {str(n): [] for n in range(len(jobs))}
    left, done = len(jobs), asyncio.Event()

    def listener(name: str) -> Any:
        def token(end_ns: int, last: bool) -> None:
            nonlocal left
            times[name].append(end_ns)
            left -= last
            if not left:
                done.set()

        return token

    for n, (at, prompt, out) in enumerate(jobs):
        driver.submit(Request(str(n), prompt, out), listener(str(n)), at)
    running = asyncio.create_task(driver.run())
    await done.wait()
    running.cancel()
    return times


JOBS = st.lists(st.tuples(st.integers(0, 40_000_000), st.integers(1, 60), st.integers(1, 9)), min_size=1, max_size=8)


@given(JOBS)
def test_virtual_times_equal_the_simulators(jobs: list[Job]) -> None:
    assert asyncio.run(_drive(jobs)) == simulated(jobs)


@given(JOBS)
def test_drafted_tokens_come_together_and_all_of_them(jobs: list[Job]) -> None:
    rules = VllmRules(kv_blocks=100, draft_tok=3, acceptance=0.6, async_scheduling=True)
    times = asyncio.run(_drive(jobs, rules))
    assert times == simulated(jobs, rules)
    assert [len(times[str(n)]) for n in range(len(jobs))] == [out for _, _, out in jobs]


def test_a_driver_that_lets_arrivals_in_early_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def everyone(self: Driver) -> None:
        while self._inbox:
            self.replica.submit(self._now_ns, self._inbox.pop(0).request)

    monkeypatch.setattr(Driver, "_let_in", everyone)
    jobs = [(0, 20, 3), (10_000_000, 20, 3)]
    assert asyncio.run(_drive(jobs)) != simulated(jobs)


def test_over_http_on_the_virtual_clock_too(tmp_path: Path) -> None:
    jobs = [(0, 20, 5), (500_000, 40, 3), (900_000, 3, 8), (30_000_000, 10, 2)]
    options = {"clock": "virtual", "start_after": len(jobs), "slots": RULES.slots, "n_batch": RULES.n_batch,
               "n_ubatch": RULES.n_ubatch, "ctx_per_slot_tok": RULES.ctx_per_slot_tok}
    with engines.launch("fake", None, options, log_dir=tmp_path) as running:

        def ask(job: Job) -> list[int]:
            body = {"prompt": [7] * job[1], "max_tokens": job[2], "ignore_eos": True, "arrival_ns": job[0]}
            found, _ = events(running, "/v1/completions", body)
            return [event["timings"]["token_ns"] for event in found if event["choices"][0]["text"]]

        with ThreadPoolExecutor(len(jobs)) as threads:
            told = list(threads.map(ask, jobs))
    expected = simulated(jobs)
    assert told == [expected[str(n)] for n in range(len(jobs))]


def test_on_the_real_clock_tokens_do_not_come_early(fake: engines.Running) -> None:
    body = {"prompt": [9] * 30, "max_tokens": 10, "ignore_eos": True}
    found, _ = events(fake, "/v1/completions", body)
    times = [event["timings"]["token_ns"] for event in found if event["choices"][0]["text"]]
    cost = PlainCost()
    gaps = {after - before for before, after in pairwise(times)}
    assert gaps == {cost.step_ns + cost.decode_seq_ns}  # alone: each step is planned from the last one's end
    assert times[0] - found[0]["timings"]["arrival_ns"] == cost.step_ns + 30 * cost.prefill_tok_ns


def test_without_ignore_eos_it_stops_by_itself(fake: engines.Running) -> None:
    answer = post(fake, "/v1/completions", {"prompt": [1, 2, 3], "max_tokens": 400}).json()
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert 16 <= answer["usage"]["completion_tokens"] < 129


def test_a_client_that_leaves_frees_its_slot(tmp_path: Path) -> None:
    with engines.launch("fake", None, {"slots": 1, "ctx_per_slot_tok": 200_000}, log_dir=tmp_path) as running:
        headers = {"Authorization": f"Bearer {running.api_key}"}
        body = {"prompt": [1], "max_tokens": 100_000, "ignore_eos": True, "stream": True}  # minutes, if nobody stops it
        with httpx.stream("POST", running.url + "/v1/completions", json=body, headers=headers) as answer:
            lines = answer.iter_lines()  # held: an iterator that is dropped closes the connection
            next(lines)
            assert running.metrics()["running"] == 1
        # there is one slot: this answer comes only if it was given up
        assert post(running, "/v1/completions", {"prompt": [1], "max_tokens": 2}).status_code == 200
        assert running.metrics()["running"] == 0


def test_web_pages_and_foreign_hosts_are_refused(fake: engines.Running) -> None:
    key = {"Authorization": f"Bearer {fake.api_key}"}
    assert httpx.get(fake.url + "/v1/models", headers={**key, "Host": "evil.example"}).status_code == 403
    assert httpx.get(fake.url + "/v1/models", headers={**key, "Origin": "http://evil.example"}).status_code == 403
    assert httpx.get(fake.url + "/v1/models", headers={**key, "Host": "localhost:80"}).status_code == 200
    assert httpx.get(fake.url + "/nothing", headers=key).status_code == 404
    assert httpx.get(fake.url + "/v1/completions", headers=key).status_code == 405


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "JSON object"), ({}, "prompt: must be"), ({"prompt": ""}, "prompt is empty"),
        ({"prompt": ["a"]}, "prompt: must be"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens: must be"), ({"prompt": "a", "max_tokens": 1.5}, "max_tokens"),
    ],
)
def test_bad_bodies_are_named(body: Any, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        understand("completions", body)


def test_bad_chats_are_named() -> None:
    with pytest.raises(BadRequest, match="messages: must be a list"):
        understand("chat", {"messages": []})
    with pytest.raises(BadRequest, match="each needs a text"):
        understand("chat", {"messages": [{"role": "user"}]})


def test_vllm_rules_are_seen(tmp_path: Path) -> None:
    options = {"rules": "vllm", "max_num_seqs": 5, "clock": "virtual"}
    with engines.launch("fake", None, options, log_dir=tmp_path) as running:
        assert running.facts["rules"].seen == "vllm"
        assert running.facts["max_num_seqs"] == engines.Fact(5, 5, "/props")
        usage = post(running, "/v1/completions", {"prompt": "one two", "max_tokens": 3}).json()["usage"]
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (2, 3, 5)


def test_a_bad_profile_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"options of fake: profile: .*no such file"):
        engines.launch("fake", None, {"profile": "nowhere.json"}, log_dir=tmp_path)
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({"kind": "something else"}))
    with pytest.raises(Failure, match=r"ended at start.*not a profile"):
        engines.launch("fake", None, {"profile": str(broken)}, log_dir=tmp_path)


def test_a_profile_brings_its_times_its_rules_and_what_admission_costs(tmp_path: Path) -> None:
    profile = Profile(
        source="measured", model=Linear(coefficients_fs={"step": 3_000_000, "prefill_tok": 2_000_000}),
        overheads=(
            Overhead(name="admit", ns=11, occupies_engine=True),
            Overhead(name="http_out", ns=99, occupies_engine=False),
        ),
        rules={"engine": "llama.cpp", "slots": 2, "n_batch": 8, "n_ubatch": 8, "ctx_per_slot_tok": 100},
    )
    path = write(profile, tmp_path / "profile.json")
    options = {"profile": str(path), "clock": "virtual", "n_batch": 16}
    with engines.launch("fake", None, options, log_dir=tmp_path) as running:
        assert running.facts["profile_sha256"].seen == profile.sha256
        assert running.facts["profile"].asked == "profile.json"  # no folder of ours in the provenance
        assert (running.facts["slots"].seen, running.facts["n_batch"].seen) == (2, 16)  # an option wins
        found, _ = events(running, "/v1/completions", {"prompt": [1] * 20, "max_tokens": 3, "ignore_eos": True})
    arrival = found[0]["timings"]["arrival_ns"]
    times = [event["timings"]["token_ns"] - arrival for event in found if event["choices"][0]["text"]]
    assert times == [(3 + 2 * 16 + 11) + (3 + 2 * 4), 60, 63]
