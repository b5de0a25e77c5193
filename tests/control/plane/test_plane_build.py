"""A plane of plain facts: what is wrong with them is said in one line; and the journal that holds them."""

import json
from typing import Any

import pytest
from played import EVERYTHING, played

from workbench.control.plane.build import plane_of
from workbench.control.plane.draws import Draws
from workbench.control.plane.events import Arrived, Release, Wake, from_json, to_json
from workbench.control.plane.journal import Entry, PlaneJournal, first_difference
from workbench.control.plane.keys import digest_of
from workbench.control.request import Waiting
from workbench.control.routing.protocol import Candidate


@pytest.mark.parametrize(("facts", "says"), [
    ({"quue": {}}, "control.quue: unknown; did you mean 'queue'?"),
    ({"scheduling": "wqf"}, "scheduling 'wqf' is unknown; did you mean 'wfq'?"),
    ({"scheduling": {"name": "drr", "parameters": {"quantm": 1}}}, "parameter 'quantm' is unknown; did you mean"),
    ({"scheduling": {"name": "wfq", "parameters": {"weights": {"a": 0}}}}, "weights.a 0: must be a whole number"),
    ({"routing": {"name": "power_of_choices", "parameters": {"randomness": 1}}}, "'randomness' is unknown"),
    ({"queue": {"limits": 3}}, "part 'queue': parameter 'limits' is unknown; did you mean 'limit'?"),
    ({"replicas": [{"models": ["m", "l"]}], "queue": {"pressure": {"up": [5], "down": [2]}, "smaller": {"m": "s"}}},
     "control.queue.smaller.m: 's' is served by no replica of pool 'shared'"),
    ({"cache": {"capacity_bytes": 9}}, "part 'cache': parameter 'ttl_ns' is missing"),
    ({"limits": "plan"}, "limits 'plan': there are no tenants to take it from"),
    ({"limits": {"levels": [{"name": "team"}]}}, "limits.levels.0.by: 'team' is unknown; known: tenant, user, model"),
    ({"limits": {"levels": [{"name": "user", "meter": "gcar"}]}}, "meter 'gcar' is unknown; did you mean 'gcra'?"),
    ({"allocator": {"capacity": 9, "guarantees": {"a": 3}}}, "allocator.guarantees: the plane takes nothing back"),
    ({"replicas": []}, "replicas: none; give at least one"),
    ({"replicas": [{"weights": 2}]}, "replicas.0 {'weights': 2}: known keys: pool, models, weight"),
    ({"replicas": [{"pool": "x"}]}, "without tenants every replica is of pool 'shared'"),
    ({"tenants": {"standard": True, "tenants": {"a": {"tier": "enterprise"}}}},
     "tenants.a: needs replicas of pool 'tier:enterprise'; the fleet has shared"),
    ({"tenants": {"tiers": {"x": {}}, "tenants": {"a": {}}}}, "tenants.a: has no tier"),
    ({"auth": {"keys": [{"digest": "d"}]}}, "keys.0: digest and tenant are needed"),
])
def test_what_is_wrong_is_said_in_one_line(facts: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError) as caught:
        plane_of(facts)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


class Last:
    """A user's own router."""

    def __init__(self, randomness: Draws, skip: int = 0) -> None:
        self.randomness, self.skip = randomness, skip

    def pick(self, now_ns: int, item: Waiting, candidates: list[Candidate]) -> int:
        return candidates[-1 - self.skip].replica


def test_a_policy_of_the_users_own() -> None:
    facts = {"replicas": 3, "routing": {"parameters": {"skip": 1}}}
    one = plane_of(facts, {"routing": Last})
    assert one.on(0, Arrived("a")) == (Release("a", 1, 1, ""),)
    with pytest.raises(ValueError, match="routing of your own file: parameter 'skp' is unknown; did you mean 'skip'"):
        plane_of({"routing": {"parameters": {"skp": 1}}}, {"routing": Last})


def test_standard_tenants_limit_by_plan() -> None:
    one = plane_of({"tenants": "standard", "limits": "plan"})
    told = [one.on(0, Arrived(f"r{i}", "anybody", prompt_tok=10, estimated_tok=10)) for i in range(21)]
    kinds = [[type(found).__name__ for found in decided if not isinstance(found, Wake)] for decided in told]
    assert kinds == [["Release"]] * 2 + [[]] * 18 + [["Reject"]], "two at once"
    assert told[20][0].retry_after_ns == 3_000_000_000, "20 a minute"


def test_a_journal_replays_through_a_fresh_plane() -> None:
    found = played(EVERYTHING, 5, 600, checked=False)
    journal = PlaneJournal.parse(found.journal.lines())
    assert list(journal.lines()) == list(found.journal.lines())
    assert first_difference(journal) is None
    other = PlaneJournal({**EVERYTHING, "scheduling": "fifo"}, journal.entries)
    assert first_difference(other) is not None


def test_a_journal_that_was_changed_shows() -> None:
    found = played(EVERYTHING, 5, 200, checked=False)
    at = next(i for i, entry in enumerate(found.entries) if any(isinstance(d, Release) for d in entry.decisions))
    entries = [*found.entries]
    entries[at] = Entry(entries[at].now_ns, entries[at].event, ())
    difference = first_difference(PlaneJournal(EVERYTHING, entries))
    assert difference is not None
    assert difference[0] is entries[at]


@pytest.mark.parametrize(("lines", "says"), [
    ([], "journal line 1: the file is empty"),
    (['{"kind": "other"}'], "journal line 1: not a journal of the control plane"),
    (['{"kind": "workbench.plane_journal", "schema": 9}'], "journal line 1: schema 9; this version reads 1 to 1"),
    (['{"kind": "workbench.plane_journal", "schema": 1, "facts": {}}', "{"], "journal line 2"),
])
def test_a_damaged_journal(lines: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        PlaneJournal.parse(lines)


def test_events_in_json_are_whole_numbers_and_texts() -> None:
    event = Arrived("a", prefix_ids=(1, 2), deadline_ns=7)
    text = json.dumps(to_json(event))
    assert text == '{"kind": "Arrived", "request_id": "a", "deadline_ns": 7, "prefix_ids": [1, 2]}'
    assert from_json(json.loads(text)) == event
    with pytest.raises(ValueError, match=r"Arrived: .*'colour'"):
        from_json({"kind": "Arrived", "request_id": "a", "colour": 1})


def test_draws_are_the_same_everywhere_and_even() -> None:
    assert [int(Draws(1, "x").random() * 10**6) for _ in range(2)] == [int(Draws(1, "x").random() * 10**6)] * 2
    drawn = Draws(1, "x")
    many = [drawn.random() for _ in range(20_000)]
    assert 0 <= min(many) < max(many) < 1
    assert abs(sum(many) / len(many) - 0.5) < 0.01
    assert Draws(2, "x").random() != Draws(1, "x").random() != Draws(1, "y").random()


def test_a_digest_is_no_credential() -> None:
    assert digest_of("wb_a_secret") == digest_of("wb_a_secret") != digest_of("wb_b_secret")
    assert "secret" not in digest_of("wb_a_secret")
