"""Conversations: every prompt begins with the one before it and the answer's stand-in, and nothing else is shared."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.config import validate
from workbench.errors import UsageError
from workbench.runlog.schema import Planned, chains, followers
from workbench.workload.draw import draw
from workbench.workload.prefix import ideal_hit_frac
from workbench.workload.prompts import Prompts
from workbench.workload.sessions import Sessions
from workbench.workload.spec import WorkloadSpec


class Codes:
    """One token a character."""

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


def spec(requests: int = 40, **changed: Any) -> WorkloadSpec:
    sessions = {"turns": [1, 2, 5], "think_s": 2.0} | changed.pop("sessions", {})
    return validate(WorkloadSpec, {
        "requests": requests, "arrivals": {"kind": "poisson", "rate_per_s": 1.0}, "sessions": sessions,
        "prompt_tok": {"kind": "lognormal", "mean_tok": 40, "sigma": 0.8, "max_tok": 300},
        "output_tok": {"kind": "lognormal", "mean_tok": 20, "sigma": 0.5, "max_tok": 90},
    } | changed, "t")


def talks(schedule: tuple[Planned, ...]) -> list[list[Planned]]:
    return [[schedule[i] for i in chain] for chain in chains(schedule)]


@settings(max_examples=20)
@given(st.integers(0, 500), st.sampled_from([None, 250]), st.sampled_from([None, {"groups": 2, "tok": 32}]))
def test_a_prompt_is_what_was_said_before_and_something_new(seed: int, most: int | None, prefix: Any) -> None:
    schedule = draw(spec(sessions={"max_context_tok": most}, prefix=prefix), seed)
    prompts = dict(zip((item.request_id for item in schedule),
                       Prompts(Codes(), salt=3).for_schedule(schedule, "ids"), strict=True))
    assert len(schedule) == 40
    for talk in talks(schedule):
        assert (talk[0].intended_ns is None, talk[0].after, talk[0].think_ns) == (False, "", 0)
        assert most is None or all(item.asked_prompt_tok + item.asked_output_tok <= most for item in talk)
        for before, item in pairwise(talk):
            assert (item.intended_ns, item.after) == (None, before.request_id)
            assert item.asked_prompt_tok > before.asked_prompt_tok + before.asked_output_tok
            said = prompts[before.request_id]
            assert prompts[item.request_id][: len(said)] == said
            assert len(prompts[item.request_id]) == item.asked_prompt_tok
    others = [tuple(said[32:64]) for talk in talks(schedule) if len(said := prompts[talk[0].request_id]) >= 64]
    assert len(set(others)) == len(others)  # beyond a prefix nobody begins alike


def test_the_hit_rate_of_a_cache_that_forgets_nothing_is_all_earlier_prompts() -> None:
    schedule = draw(spec(sessions={"turns": [4]}), 1)
    ids, tok = [item.prefix_ids for item in schedule], np.array([item.asked_prompt_tok for item in schedule])
    known = sum(before.asked_prompt_tok // 16 * 16 for talk in talks(schedule) for before in talk[:-1])
    assert ideal_hit_frac(ids, 16, tok) == known / tok.sum()


def test_a_longer_run_begins_as_the_shorter_and_another_rate_moves_only_beginnings() -> None:
    def bare(schedule: tuple[Planned, ...]) -> list[tuple[int, int, str, int]]:
        return [(i.asked_prompt_tok, i.asked_output_tok, i.after, i.think_ns) for i in schedule]

    short, long = draw(spec(30), 7), draw(spec(60), 7)
    assert bare(long)[:30] == bare(short)
    fast = draw(spec(30, arrivals={"kind": "poisson", "rate_per_s": 2.0}), 7)
    assert bare(fast) == bare(short)
    assert [i.intended_ns for i in fast if not i.after] == [
        pytest.approx((i.intended_ns or 0) / 2, abs=1) for i in short if not i.after]
    patient = draw(spec(30, sessions={"think_s": 4.0}), 7)
    assert [i.think_ns for i in patient] == [pytest.approx(2 * i.think_ns, abs=2) for i in short]


def test_closed_sessions_have_no_times_and_followers_are_found() -> None:
    schedule = draw(spec(arrivals={"kind": "closed"}), 1)
    assert all(item.intended_ns is None for item in schedule)
    after = followers(schedule)
    assert [schedule[i].after for i in after.values()] == [schedule[i].request_id for i in after]
    assert len(after) == sum(bool(item.after) for item in schedule) > 10
    for item in schedule:
        assert Planned.from_list(item.as_list()) == item


def test_the_time_to_think_has_the_mean_and_variation_asked_for() -> None:
    uniform = (np.arange(100_000) + 0.5) / 100_000
    drawn = Sessions(turns=(2,), think_s=3.0, think_cv=0.5).think_ns(uniform) / 1e9
    assert drawn.mean() == pytest.approx(3.0, rel=1e-3)
    assert drawn.std() / drawn.mean() == pytest.approx(0.5, rel=5e-3)
    assert set(Sessions(turns=(2,), think_s=3.0, think_cv=0).think_ns(uniform).tolist()) == {3_000_000_000}


@pytest.mark.parametrize(("changed", "says"), [
    ({"sessions": {"turns": [0]}}, r"t: sessions: turns: each is 1 to 1000"),
    ({"sessions": {"think_s": -1}}, r"t: sessions.think_s: -1: "),
    ({"trace": {"file": "x", "format": "azure"}, "prompt_tok": None, "output_tok": None},
     "brings its own requests: leave out sessions"),
])
def test_bad_sessions_are_one_line(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        spec(**changed)


def test_sessions_of_which_none_fits_are_one_line() -> None:
    with pytest.raises(UsageError, match=r"0 of 40 requests fit into max_context_tok 10"):
        draw(spec(sessions={"max_context_tok": 10}, prompt_tok={"kind": "fixed", "tok": 11}), 1)
