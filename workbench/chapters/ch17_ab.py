"""Chapter 17: an A/B test of two versions: who gets which, and what it costs to look before the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.chapters.about import within
from workbench.control.models.registry import ModelRegistry, Version
from workbench.control.models.sequential import PairedSprt
from workbench.figures.chart import Chart, Panel, Series
from workbench.report.results import Result
from workbench.stats.intervals import Interval, wilson

Bools = NDArray[np.bool_]
DOWN_FRAC = 0.10  # of A's users put a thumb down
TIMES = (1.0, 1.25, 1.5, 2.0)  # B's, as a multiple
PAIRS, EVERY = 1500, 100  # users of each side, and of each between two looks
Z = 1.96  # 5 %, two-sided
ONE_LOOK, LOOKS, SEQUENTIAL = "one look at the end", f"a look every {EVERY}", "sequential test"


@dataclass(frozen=True)
class Tested:
    """By how much worse B is: the share of tests that call it worse, for each way to look; users that the sequential
    one asked, of both sides."""

    called: Mapping[str, tuple[Interval, ...]]
    times: tuple[float, ...]
    users: tuple[float, ...]
    n: int


def tested(trials: int, quick: bool) -> Tested:
    """Raises UsageError."""
    within("trials", trials, 20, 10_000)
    n, times = (40, TIMES[::3]) if quick else (trials, TIMES)
    called: dict[str, list[Interval]] = {ONE_LOOK: [], LOOKS: [], SEQUENTIAL: []}
    users = []
    for ratio in times:
        down = [_down(ratio, seed) for seed in range(n)]
        for name, every in ((ONE_LOOK, PAIRS), (LOOKS, EVERY)):
            called[name].append(wilson(sum(worse(a, b, every) for a, b in down), n))
        ended = [in_sequence(a, b) for a, b in down]
        called[SEQUENTIAL].append(wilson(sum(bad for bad, _ in ended), n))
        users.append(2 * float(np.mean([pairs for _, pairs in ended])))
    return Tested({name: tuple(rows) for name, rows in called.items()}, times, tuple(users), n)


def _down(ratio: float, seed: int) -> tuple[Bools, Bools]:
    rng = np.random.default_rng([seed, round(ratio * 100)])
    return rng.random(PAIRS) < DOWN_FRAC, rng.random(PAIRS) < DOWN_FRAC * ratio


def worse(a: Bools, b: Bools, every: int) -> bool:
    """Whether at any look the two shares differ by `Z` of their errors, and B's is the greater."""
    n = np.arange(every, len(a) + 1, every)
    share_a, share_b = np.cumsum(a)[n - 1] / n, np.cumsum(b)[n - 1] / n
    both = (share_a + share_b) / 2
    return bool((share_b - share_a > Z * np.sqrt(2 * both * (1 - both) / n)).any())


def in_sequence(a: Bools, b: Bools) -> tuple[bool, int]:
    """Whether the plane's test calls B bad, and after how many pairs it said anything."""
    test = PairedSprt()
    for one, other in zip(a.tolist(), b.tolist(), strict=True):
        if test.pair(other, one) != "go on":
            break
    return test.verdict == "bad", test.pairs


def split(users: int = 4000) -> tuple[float, float]:
    """By the registry, half to each: B's share of the users; and of those who come again, who get the same."""
    registry = ModelRegistry([Version("chat", name, f"{name * 8}", 8192) for name in ("1", "2")])
    registry.split(0, "chat", {"chat@1": 1, "chat@2": 1})
    asked = [[registry.resolve(0, "chat", f"user {i}", f"{i}/{again}").version.name for i in range(users)]
             for again in range(2)]
    same = sum(first == second for first, second in zip(*asked, strict=True))
    return asked[0].count("chat@2") / users, same / users


def ab_chart(found: Tested) -> Chart:
    series = [Series(name, found.times, tuple(row.mean for row in rows), "simulated", "line", i,
                     tuple(row.low for row in rows), tuple(row.high for row in rows))
              for i, (name, rows) in enumerate(found.called.items())]
    share, same = split()
    return Chart(
        "ab", "thumbs down of B (multiple of A's)",
        (Panel("share of tests that call B worse", tuple(series), level=0.025, level_label="meant, where B is alike"),
         Panel("users asked by the sequential test (number)", (
             Series("users", found.times, found.users, "simulated", "line", 2),))),
        f"Half the users get B (here {share:.1%} of them; {same:.0%} get the same again); {DOWN_FRAC:.0%} of A's are "
        f"not content. A test that is looked at every {EVERY} users, and ended at the first difference, finds one "
        "where there is none; a sequential test may be looked at always.",
        f"n = {found.n} tests of {PAIRS:,} users a side, seeds 0 to {found.n - 1}, whiskers are 95 % Wilson intervals",
        "Lines over how much worse B is: looking often calls more versions worse, also where both are alike; the "
        "second panel shows how many users the sequential test asked.")


def results(found: Tested) -> Sequence[Result]:
    return [Result(f"ab_called_worse_{name.replace(' ', '_')}_times_{ratio:g}", row.mean, "", "simulated", row.n,
                   row.low, row.high)
            for name, rows in found.called.items() for ratio, row in zip(found.times, rows, strict=True)]


def false_alarms(found: Tested) -> tuple[Interval, Interval]:
    """Where both are alike: of looking often, and of the sequential test."""
    return found.called[LOOKS][0], found.called[SEQUENTIAL][0]
