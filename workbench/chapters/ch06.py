"""Chapter 6: what it costs to ask who somebody is, how late a revocation comes, and what a user may take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workbench.chapters import playing
from workbench.chapters.about import within
from workbench.chapters.ch06_checks import SECOND, Check, keyed
from workbench.control.auth.api_keys import ApiKeys
from workbench.control.auth.cached import CachedKeys
from workbench.control.auth.principal import Denied, Principal
from workbench.control.auth.quotas import Quotas
from workbench.figures.chart import Chart, Panel, Series
from workbench.report.prose import Prose
from workbench.report.results import Result, Results
from workbench.stats.intervals import Interval, t_interval

DELAYS_S = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
USERS = {"steady": 1.0, "busy": 2.0, "greedy": 20.0}  # how much each asks, in shares of an equal part
REQUESTS = 2000  # of all users in the period, at their ratio
MOST_TOK, USED_FRAC = 100, 0.6  # reserved for each request, and what it uses of that on average


@dataclass(frozen=True)
class Late:
    """By how long a verdict is remembered: how long a revoked key still works, and how many looks are saved."""

    delays_s: tuple[float, ...]
    open_s: tuple[Interval, ...]
    saved: tuple[Interval, ...]
    longest_s: tuple[float, ...]
    rate_per_s: float
    seeds: int


def late(rate_per_s: float, seeds: int, quick: bool) -> Late:
    """A key that is used all the time is revoked at a random moment. Raises UsageError."""
    within("rate_per_s", rate_per_s, 0.001, 100.0)
    within("seeds", seeds, 3, 1000)
    delays, seeds = (DELAYS_S[::2], 20) if quick else (DELAYS_S, seeds)
    runs = [np.array([_revoked(delay, rate_per_s, seed) for seed in range(seeds)]) for delay in delays]
    return Late(delays, tuple(t_interval(run[:, 0]) for run in runs), tuple(t_interval(run[:, 1]) for run in runs),
                tuple(float(run[:, 0].max()) for run in runs), rate_per_s, seeds)


def _revoked(delay_s: float, rate_per_s: float, seed: int) -> tuple[float, float]:
    """(s for which it was let in after its revocation, share of looks before it that did not reach the keys)."""
    rng = np.random.default_rng(seed)
    gaps_s = rng.exponential(1 / rate_per_s, max(400, round(12 * (1 + delay_s * rate_per_s))))
    times_ns = np.cumsum(gaps_s * SECOND).astype(np.int64)
    period_s = delay_s + 1 / rate_per_s  # from one look at the keys to the next: anywhere in it, or the mean is biased
    revoke_ns = int((5 + rng.uniform()) * period_s * SECOND)
    keys, key = keyed(1)
    far = _Counted(keys)
    cache, last_ns, before, revoked = CachedKeys(far, round(delay_s * SECOND)), revoke_ns, 0, False
    asked_before = 0
    for now_ns in times_ns.tolist():
        if now_ns >= revoke_ns and not revoked:
            keys.revoke(revoke_ns, "k0")
            revoked, asked_before = True, far.asked
        let_in = isinstance(cache.verify(now_ns, key), Principal)
        if not revoked:
            before += 1
        elif let_in:
            last_ns = now_ns
    return (last_ns - revoke_ns) / SECOND, 1 - asked_before / before


class _Counted:
    """Keys that count how often they are asked: those that are a network away."""

    def __init__(self, keys: ApiKeys) -> None:
        self.keys, self.asked = keys, 0

    def verify(self, now_ns: int, credential: str) -> Principal | Denied:
        self.asked += 1
        return self.keys.verify(now_ns, credential)

    def valid_until_ns(self, key_id: str) -> int | None:
        return self.keys.valid_until_ns(key_id)


def late_chart(found: Late) -> Chart:
    formula = tuple(1 - 1 / (1 + found.rate_per_s * delay) for delay in found.delays_s)
    opened = Series("mean", found.delays_s, *_columns(found.open_s), "simulated", "points", 1, *_ends(found.open_s))
    return Chart(
        "late", "how long a verdict is remembered (s)",
        (Panel("let in after its revocation (s)", (
            opened, Series("longest seen", found.delays_s, found.longest_s, "simulated", "points", 4),
            Series("bound", found.delays_s, found.delays_s, "derived", "line", 6)), log_y=True),
         Panel("share of looks that need no round trip", (
             Series("formula", found.delays_s, formula, "derived", "line", 6),
             Series("remembered", found.delays_s, *_columns(found.saved), "simulated", "points", 0,
                    *_ends(found.saved))))),
        "Most of what memory saves it saves early; what it risks grows with the time.",
        f"n = {found.seeds} revocations at random moments, a key used {found.rate_per_s:g} times a second, whiskers "
        "are 95 % intervals of the mean",
        "Two panels over the time for which a verdict is remembered: for how long a revoked key is still let in, "
        "always below the bound, and which share of the looks is answered from memory.", log_x=True)


def _columns(found: Sequence[Interval]) -> tuple[tuple[float, ...]]:
    return (tuple(item.mean for item in found),)


def _ends(found: Sequence[Interval]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(max(item.low, 0.0) for item in found), tuple(item.high for item in found)


@dataclass(frozen=True)
class Shares:
    """Tokens that each user got, as shares of an equal part: from one budget for all, and from quotas of their own."""

    common: Mapping[str, Interval]
    own: Mapping[str, Interval]
    seeds: int
    unused_frac: float  # of all that the quotas allow: what nobody asked for


def shares(seeds: int, quick: bool) -> Shares:
    """Everybody asks at random moments of one period. Raises UsageError."""
    within("seeds", seeds, 3, 1000)
    seeds = 5 if quick else min(seeds, 20)
    both = [(_served(seed, own=False), _served(seed, own=True)) for seed in range(seeds)]
    common, own = ({user: t_interval(np.array([run[user] for run in runs])) for user in USERS}
                   for runs in zip(*both, strict=True))
    return Shares(common, own, seeds, 1 - float(np.mean([item.mean for item in own.values()])))


def _served(seed: int, *, own: bool) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    weights = np.array(list(USERS.values()))
    asked = rng.choice(list(USERS), REQUESTS, p=weights / weights.sum())
    part = round(REQUESTS * USED_FRAC * MOST_TOK / weights.sum() * 1.2)  # the steady one fits, the greedy one does not
    quotas = Quotas(10**18, amounts=dict.fromkeys(USERS, part) if own else {"all": len(USERS) * part})
    got = dict.fromkeys(USERS, 0)
    for i, user in enumerate(asked.tolist()):
        payer = user if own else "all"
        period = quotas.reserve(i, payer, MOST_TOK)
        if period is not None:
            used = round(MOST_TOK * rng.uniform(2 * USED_FRAC - 1, 1.0))
            quotas.settle(i, payer, period, MOST_TOK, used)
            got[user] += used
    return {user: tok / part for user, tok in got.items()}


def share_chart(found: Shares) -> Chart:
    names = tuple(f"{user} (asks {factor / 1.2:.1f})" for user, factor in USERS.items())
    series = [Series(name, names, *_columns(list(kept.values())), "simulated", "points", i, *_ends(list(kept.values())))
              for i, (name, kept) in enumerate((("one budget for all", found.common), ("a quota each", found.own)))]
    return Chart(
        "shares", "user, and how many equal parts it asks for",
        (Panel("tokens received (shares of an equal part)", tuple(series), level=1.0, level_label="an equal part"),),
        "From one budget whoever asks most takes most; a quota for each user gives everybody up to an equal part.",
        f"n = {found.seeds} seeds of {REQUESTS} requests, whiskers are 95 % intervals of the mean",
        "Tokens that each of three users received: with one budget the greedy user takes nearly all, with quotas "
        "nobody takes more than an equal part.", names)


def numbers(checks: Sequence[Check], delayed: Late, shared: Shares) -> Results:
    return Results((
        *(Result(f"check_{item.name.split(' (')[0].replace(', ', '_').replace(' ', '_')}_us", item.median_us, "us",
                 "measured", item.n, item.low_us, item.high_us) for item in checks),
        *(Result(f"open_after_revocation_{delay:g}_s", item.mean, "s", "simulated", item.n, item.low, item.high)
          for delay, item in zip(delayed.delays_s, delayed.open_s, strict=True)),
        *(Result(f"received_{user}_{name}", item.mean, "equal parts", "simulated", item.n, item.low, item.high)
          for name, kept in (("common", shared.common), ("own", shared.own)) for user, item in kept.items()),
    ))


def answer(checks: Sequence[Check], delayed: Late, shared: Shares) -> Prose:
    one, last = checks[0], delayed.open_s[-1]
    calm, greedy = shared.common["steady"], shared.own["steady"]
    return Prose(
        f"Checking a key takes {one.median_us:.1f} us here (middle half {one.low_us:.1f} to {one.high_us:.1f}, n = "
        f"{one.n}). Remembering verdicts for {delayed.delays_s[-1]:g} s lets a revoked key in for "
        f"{playing.said(last.mean, max(last.low, 0.0), last.high)} s more on average, and never longer than "
        f"remembered. Beside a greedy user a steady one receives {playing.said(calm.mean, calm.low, calm.high, 2)} of "
        f"an equal part from one budget and {playing.said(greedy.mean, greedy.low, min(greedy.high, 1.0), 2)} with a "
        "quota each."
    )
