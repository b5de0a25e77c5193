"""The gate's errors, computed exactly and simulated; what a canary does at each step."""

from collections import defaultdict
from copy import copy
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.models.canary import Canary, Step
from workbench.control.models.registry import ModelRegistry, Version
from workbench.control.models.sequential import PairedSprt, Verdict

OLD = Version("m", "1", "a", 8192)
NEW = OLD._replace(version="2", revision="b")


def canary(**options: int) -> Canary:
    return Canary(ModelRegistry([OLD, NEW]), "m", "m@1", "m@2", **options)


@given(st.sampled_from([1_500_000, 2_000_000, 4_000_000]), st.integers(1, 500_000), st.integers(1, 500_000),
       st.lists(st.tuples(st.booleans(), st.booleans()), max_size=120))
def test_the_verdict_is_the_first_crossing_of_the_likelihood_ratio(
    ratio_ppm: int, false_good: int, false_bad: int, pairs: list[tuple[bool, bool]]
) -> None:
    test, r, ratio, verdict = PairedSprt(ratio_ppm, false_good, false_bad), Fraction(ratio_ppm, 10**6), Fraction(1), ""
    for new, old in pairs:
        got = test.pair(new, old)
        if not verdict:
            q = r / (1 + r)
            ratio *= 1 if new == old else (q if new else 1 - q) / Fraction(1, 2)
            verdict = ("bad" if ratio >= Fraction(10**6, false_bad) else
                       "good" if ratio <= Fraction(false_good, 10**6) else "")
        assert got == (verdict or "go on")


def test_a_verdict_is_final() -> None:
    test = PairedSprt(false_bad_ppm=700_000)
    assert [test.pair(*pair) for pair in [(True, False), (True, False), (False, True)]] == ["go on", "bad", "bad"]
    assert test.pairs == 2


def decided(share: Fraction, steps: int) -> dict[Verdict, Fraction]:
    """Exact probabilities after so many pairs that differ, of which the canary fails in this share."""
    states = {(0, 0): (PairedSprt(), Fraction(1))}
    done: dict[Verdict, Fraction] = defaultdict(Fraction)
    for _ in range(steps):
        after: dict[tuple[int, int], tuple[PairedSprt, Fraction]] = {}
        for test, probability in states.values():
            for failed, part in ((True, share), (False, 1 - share)):
                other = copy(test)
                verdict = other.pair(failed, not failed)
                if verdict != "go on":
                    done[verdict] += probability * part
                    continue
                key = (other.canary_alone, other.baseline_alone)
                after[key] = (other, probability * part + (after[key][1] if key in after else 0))
        states = after
    done["go on"] = sum((p for _, p in states.values()), Fraction())
    assert sum(done.values()) == 1
    return done


def test_a_bad_canary_is_called_good_with_at_most_the_stated_probability() -> None:
    """Exactly, by all paths; and not far below it: the bound is not idle."""
    at_ratio = decided(Fraction(2, 3), 200)
    assert Fraction(3, 100) < at_ratio["good"] <= Fraction(5, 100)
    assert at_ratio["go on"] < Fraction(1, 100)
    assert decided(Fraction(3, 4), 100)["good"] < at_ratio["good"]  # worse still: rarer still


def test_a_good_canary_is_called_bad_with_at_most_the_stated_probability() -> None:
    at_one = decided(Fraction(1, 2), 200)
    assert Fraction(2, 100) < at_one["bad"] <= Fraction(5, 100)
    assert decided(Fraction(4, 10), 100)["bad"] < at_one["bad"]


def run(test: Canary, fails: dict[str, float], randomness: Random) -> Step:
    """Users come one by one, the registry sends them, each outcome is told."""
    test.begin(0)
    step, number = None, 0
    while step is None or step.act == "widen":
        number += 1
        version = test.registry.resolve(0, "m", f"u{randomness.random()}").version.name
        step = test.outcome(number, version, randomness.random() < fails[version])
    return step


RUNS = 150


def test_false_promotions_in_whole_rollouts() -> None:
    """The rates 20 % and 1/3 are an odds ratio of 2. Half of the users have the canary, so that it is quick."""
    acts = [run(Canary(ModelRegistry([OLD, NEW]), "m", "m@1", "m@2", stages_ppm=(500_000,)),
                {"m@1": 0.2, "m@2": 1 / 3}, Random(seed)).act for seed in range(RUNS)]
    assert acts.count("promote") <= RUNS * 0.05 + 3 * (RUNS * 0.05 * 0.95) ** 0.5


def test_good_canaries_are_promoted() -> None:
    acts = [run(Canary(ModelRegistry([OLD, NEW]), "m", "m@1", "m@2", stages_ppm=(500_000,)),
                {"m@1": 0.2, "m@2": 0.2}, Random(seed)).act for seed in range(RUNS)]
    assert acts.count("promote") >= RUNS * 0.95 - 3 * (RUNS * 0.05 * 0.95) ** 0.5


def peeking(seed: int, looks: int = 40, each: int = 50) -> bool:
    """What is usual: a 5 % one-sided z test of two rates at every look. True: an equally good canary was taken back."""
    randomness, fails = Random(seed), [0, 0]
    for look in range(1, looks + 1):
        n = look * each
        for arm in range(2):
            fails[arm] += sum(randomness.random() < 0.2 for _ in range(each))
        pooled = sum(fails) / (2 * n)
        if fails[1] - fails[0] > 1.645 * (2 * n * pooled * (1 - pooled)) ** 0.5:
            return True
    return False


def test_peeking_at_a_fixed_test_errs_several_times_as_often() -> None:
    assert sum(peeking(seed) for seed in range(RUNS)) > 3 * 0.05 * RUNS


def test_stages_widen_and_evidence_decides() -> None:
    test = canary(stage_pairs=4)
    models = test.registry
    assert test.begin(0) == Step("begin", "m", 10_000, "m@2 beside m@1")
    steps = [step for i in range(16) for version in ("m@1", "m@2") if (step := test.outcome(i, version, False))]
    assert [(s.act, s.share_ppm) for s in steps] == [("widen", 50_000), ("widen", 250_000), ("widen", 500_000)]
    last = None
    for i in range(40):
        last = last or test.outcome(20 + i, "m@1", True) or test.outcome(20 + i, "m@2", False)
    seen = "24 pairs: 0 where only the canary failed, 8 where only the baseline did"
    assert last == Step("promote", "m", 1_000_000, seen)
    assert {models.resolve(99, "m", f"u{i}").version for i in range(50)} == {NEW}
    assert test.outcome(99, "m@2", True) is None  # it is over


def test_a_bad_one_is_taken_back_at_once() -> None:
    test = canary()
    test.begin(0)
    steps = [step for i in range(60) for v in ("m@1", "m@2") if (step := test.outcome(i, v, v == "m@2"))]
    assert [(s.act, s.share_ppm) for s in steps] == [("roll back", 0)]
    assert test.test.pairs == 11  # (4/3)^11 >= 20
    assert {test.registry.resolve(60, "m", f"u{i}").version for i in range(50)} == {OLD}


def test_undecided_is_taken_back() -> None:
    test = canary(most_pairs=7)
    test.begin(0)
    steps = [step for i in range(9) for v in ("m@2", "m@1") if (step := test.outcome(i, v, False))]
    assert [s.act for s in steps] == ["roll back"]


def test_pairs_are_the_first_of_each_side() -> None:
    test = canary()
    test.begin(0)
    for version, failed in [("m@1", False), ("m@1", True), ("m@3", True), ("m@2", True), ("m@2", False), ("m@2", True),
                            ("m@1", True)]:
        test.outcome(1, version, failed)
    assert (test.test.pairs, test.test.canary_alone, test.test.baseline_alone) == (2, 1, 1)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: canary(ratio_ppm=1_000_000), "ratio_ppm 1000000"),
    (lambda: canary(false_good_ppm=1_000_000), "false_good_ppm 1000000"),
    (lambda: Canary(ModelRegistry([OLD, NEW]), "m", "m@1", "m@2", stages_ppm=(5, 5)), "stages_ppm.1 5"),
    (lambda: Canary(ModelRegistry([OLD, NEW]), "m", "m@1", "m@2", stages_ppm=()), "at least one"),
    (lambda: Canary(ModelRegistry([OLD, NEW]), "m", "m@1", "m@1"), "is the baseline itself"),
    (lambda: Canary(ModelRegistry([OLD, NEW]), "m", "m@1", "m@7"), "version 'm@7' is unknown"),
])
def test_bad_parameters(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
