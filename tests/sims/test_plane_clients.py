"""Clients that ask again, and scenarios with several workloads: what they say, what is theirs, what is refused."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shipped import FOLDER, case_of, changed, rows, text_of
from timing import Linear

from sims.plane.clients import Clients, Habits, meant
from sims.plane.run import simulate_plane
from sims.rules import VllmRules
from workbench.control.plane.events import Arrived
from workbench.errors import UsageError
from workbench.runlog.schema import Planned

RULES = VllmRules(kv_blocks=400, max_num_seqs=2, max_num_batched_tokens=256)
FULL: dict[str, Any] = {"window": 1, "queue": {"limit": 1}}


def schedule(n: int = 40) -> list[Planned]:
    return [Planned(f"r{i}", i * 2_000, 20 + 7 * i % 90, 2 + 5 * i % 23, tenant=("a", "b")[i % 2]) for i in range(n)]


@given(wait_ns=st.integers(0, 10**9), factor=st.floats(1, 4), longest_ns=st.integers(1, 10**10),
       spread_frac=st.floats(0, 1), uniform=st.floats(0, 0.999), again=st.integers(1, 12))
def test_a_wait_grows_up_to_its_longest_and_never_spreads_beyond_itself(
    wait_ns: int, factor: float, longest_ns: int, spread_frac: float, uniform: float, again: int,
) -> None:
    plain = Habits(None, 20, wait_ns, factor, longest_ns)
    spread = Habits(None, 20, wait_ns, factor, longest_ns, spread_frac)
    whole = plain.wait_for_ns(again, uniform)
    assert whole == min(longest_ns, round(min(float(longest_ns), wait_ns * factor ** (again - 1))))
    assert plain.wait_for_ns(again + 1, uniform) >= whole
    assert round(whole * (1 - spread_frac)) - 1 <= spread.wait_for_ns(again, uniform) <= whole


@pytest.mark.parametrize("most", [1, 2, 5])
def test_everybody_asks_again_until_content_or_tired_and_each_time_has_a_row_of_its_own(most: int) -> None:
    clients = Clients(lambda _: Habits(None, most, 1_500, 2.0), seed=3)
    found = simulate_plane(schedule(), Linear(), RULES, FULL, clients=clients, checked=True)
    by_meaning: dict[str, list[dict[str, Any]]] = {}
    for row in rows(found):
        by_meaning.setdefault(meant(row["request_id"]), []).append(row)
    assert set(by_meaning) == {plan.request_id for plan in schedule()}
    for times in by_meaning.values():
        assert len(times) <= most
        assert all(row["outcome"] == "shed" for row in times[:-1])
        assert times[-1]["outcome"] == "ok" or len(times) == most
        assert len({row["intended_ns"] for row in times}) == 1, "it was meant once"
        for number, (before, after) in enumerate(pairwise(times)):
            assert after["sent_ns"] - before["end_ns"] == 1_500 * 2**number
    assert found.plane.desk.tally.arrived == len(found.log) == sum(Counter(map(len, by_meaning.values())).elements())


def test_what_stays_wrong_is_not_asked_again_and_a_refusal_that_names_a_time_is_obeyed() -> None:
    levels = [{"name": "r", "by": "tenant", "counts": "requests", "parameters": {"amount": 1, "per_ns": 50_000}}]
    for obeys in (True, False):
        clients = Clients(lambda _, obeys=obeys: Habits(None, 2, 100, obeys=obeys), seed=3)  # type: ignore[misc]
        found = simulate_plane(schedule(6), Linear(), RULES, {"limits": {"levels": levels}}, clients=clients)
        waits = [row["sent_ns"] - row["intended_ns"] for row in rows(found) if "~2" in row["request_id"]]
        assert waits
        assert (min(waits) > 10_000) == obeys

    def stranger(plan: Planned) -> Arrived:
        return Arrived(plan.request_id, plan.tenant, key="nobody's")
    clients = Clients(lambda _: Habits(None, 5, 100), seed=3)
    found = simulate_plane(schedule(6), Linear(), RULES, {"auth": {"keys": []}}, arrival=stranger, clients=clients)
    assert len(found.log) == 6, "401"


def test_each_workload_has_clients_of_its_own_and_changing_one_leaves_the_others() -> None:
    base = case_of(text_of("platform"))
    edits = ("questions = 80", "questions = 7"), ("rate_per_s = 6.0, cv", "rate_per_s = 9.0, cv")
    other = case_of(changed("platform", *edits))
    mine, theirs = ({plan.request_id: plan for plan in case.draw(1) if plan.tenant in ("acme", "dune")}
                    for case in (base, other))
    assert mine == theirs
    clients = base.scenario.clients
    assert clients["dune"].patience_s == 10.0
    assert clients["acme"].patience_s is None
    assert clients["dune"].deadline_s == clients[""].deadline_s == 30.0, "key by key"


@pytest.mark.parametrize(("name", "old", "new", "says"), [
    ("gpu_failure", 'node = "g1"', 'node = "g9"', "failures.0.node: 'g9' is none of control.cluster.nodes: g0, g1"),
    ("gpu_failure", 'kind = "node"', 'kind = "replica"', "failures[0]: replica: say which one, and nothing else"),
    ("gpu_failure", 'node = "g1"', 'node = "g1"\nnotice_s = 3.0', "notice_s: only of kind spot"),
    ("spot_preemption", "replica = 2", "replica = 8", "failures.0.replica: 8 is none of the 6, from 0 on"),
    ("noisy_neighbour", 'tenant = "noisy"', 'tenant = "quiet"', "workloads: 'quiet' is there already"),
    ("noisy_neighbour", "[fleet]", "[workload]\nrequests = 3\n[fleet]", "workload"),
    ("retry_storm", "most = 10", "mosst = 10", "client.retries.mosst: unknown key; did you mean 'most'?"),
    ("retry_storm", "most = 10", "most = 0", "client.retries.most: 0"),
    ("hybrid", 'device = "phone"', 'dvice = "phone"', "unknown key; did you mean 'device'?"),
    ("cold_start_storm", "\ncold_start_s = 25.0", "\ncold_start_s = -1.0", "cold_start_s: -1.0"),
])
def test_what_is_wrong_with_a_scenario_is_one_line(name: str, old: str, new: str, says: str) -> None:
    text = text_of(name).replace(old, new)
    assert text != text_of(name)
    with pytest.raises(UsageError) as caught:
        case_of(text, FOLDER)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
