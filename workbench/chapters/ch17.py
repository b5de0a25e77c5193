"""Chapter 17: does the whole platform bill to the cent, how sure is a canary, and how late is an alarm?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sims.plane.run import PlaneResult
from workbench.chapters import ch17_ab, playing
from workbench.chapters.about import within
from workbench.chapters.ch17_ab import Tested
from workbench.chapters.playing import Played
from workbench.control.anomaly.change import Cusum
from workbench.control.anomaly.score import Score, score
from workbench.control.models.canary import Canary
from workbench.control.models.registry import ModelRegistry, Version
from workbench.control.plane.events import ReplicaUp, Start, Stop
from workbench.figures.chart import Chart, Panel, Series
from workbench.figures.table import Table, number
from workbench.flows.plane_books import issued
from workbench.report.prose import Prose
from workbench.report.results import Result, Results
from workbench.stats.intervals import Interval, wilson

FAILURES_FRAC = 0.02  # the baseline's
RATIOS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # the canary's failures as a multiple of it
JUMPS = (1.1, 1.2, 1.3, 1.5, 2.0)  # of the rate of arrivals
MEAN_PER_STEP, STEPS, PATIENCE = 40.0, 300, 100


def platform(quick: bool) -> Played:
    """Everything on: keys, limits, cache, canary, autoscaling, a dead node, billing; one seed."""
    text = playing.shipped("platform")
    if quick:
        text = text.replace("duration_s = 60", "duration_s = 40")
    return playing.play({"platform": text}, (1,))


def bill_table(found: Played) -> Table:
    """Rows against ledger against invoices, per tenant."""
    run = found.runs["platform"][0]
    by_rows = _by_tenant(run)
    rows = tuple(
        (tenant, f"{pusd * 1e-12:.6f}", f"{invoices / 100:.2f}", f"{abs(pusd * 1e-10 - invoices):.3f}")
        for tenant, pusd, invoices in ((name, by_rows[name], cents) for name, cents in _invoiced(found).items()))
    return Table(("tenant", "sum of its requests (USD)", "invoice (USD)", "apart (cents)"), rows,
                 f"Simulated, n = {len(run.log)} requests, seed {found.seeds[0]}. Charges are whole pico-USD; the "
                 "invoice is rounded once, half to even: never more than half a cent apart.")


def platform_chart(found: Played) -> Chart:
    run = found.runs["platform"][0]
    begun_s = [at_ns / 1e9 for at_ns, _, _ in run.starts if at_ns]
    marks = ((10.0, "canary begins"), (30.0, "a node dies"), *((min(begun_s), "replicas start"),) * bool(begun_s))
    return Chart(
        "platform", "time (s)",
        (Panel("requests per second", (
            playing.time_series("answered", playing.over_time(run, 2.0, "answered"), 0),
            playing.time_series("refused", playing.over_time(run, 2.0, "refused"), 1),
            playing.time_series("failed", playing.over_time(run, 2.0, "failed"), 2))),),
        "Everything at once: a canary from the tenth second, a dead node at the thirtieth, a crowd of free users, and "
        "an autoscaler.", f"n = {len(run.log)} requests, seed {found.seeds[0]}; profile "
        f"{found.profile}", "Steps over time of answered, refused and failed requests per second, with marks where "
        "replicas start.", marks=marks,
    )


def coordinator_table(found: Played) -> Table:
    """What the coordinator decided about replicas, and why."""
    rows = []
    for entry in found.runs["platform"][0].moves:
        up = entry.event.replica if isinstance(entry.event, ReplicaUp) else None
        if up is not None:
            rows.append((_at(entry.now_ns), f"replica {up} takes requests", "it has started"))
        for why, acts in _by_reason(entry.decisions).items():
            rows.append((_at(entry.now_ns), acts, why))
    return Table(("time (s)", "decision", "why"), tuple(rows),
                 f"Simulated, seed {found.seeds[0]}. A start carries a token that no other ever had: what a machine "
                 f"that was given up still says, under an older one, is refused. n = {len(rows)} decisions.")


def _by_reason(decisions: Sequence[object]) -> dict[str, str]:
    """Stops and starts of one moment in one line a reason."""
    found: dict[str, list[str]] = {}
    for one in decisions:
        if isinstance(one, Stop):
            found.setdefault(one.why, []).append(f"stop {one.replica}")
        elif isinstance(one, Start):
            found.setdefault(one.why, []).append(f"start {one.replica} on {one.node} (token {one.token})")
    return {why: ", ".join(acts) for why, acts in found.items()}


def _at(now_ns: int) -> str:
    return f"{now_ns / 1e9:.1f}"


@dataclass(frozen=True)
class Trials:
    """By ratio: how often the canary was promoted, with Wilson's interval, and the mean of its requests."""

    promoted: Mapping[float, Interval]
    requests: Mapping[float, float]
    n: int


def canary(trials: int, quick: bool) -> Trials:
    """Independent trials of the policy that the plane runs. Raises UsageError."""
    within("trials", trials, 20, 10_000)
    n = 40 if quick else trials
    ratios = RATIOS[1::2] if quick else RATIOS
    found = {ratio: [_trial(ratio, seed) for seed in range(n)] for ratio in ratios}
    return Trials({ratio: wilson(sum(good for good, _ in runs), n) for ratio, runs in found.items()},
                  {ratio: float(np.mean([asked for _, asked in runs])) for ratio, runs in found.items()}, n)


def _trial(ratio: float, seed: int) -> tuple[bool, int]:
    rng = np.random.default_rng([seed, round(ratio * 100)])
    registry = ModelRegistry([Version("chat", name, f"{name * 8}", 8192) for name in ("1", "2")])
    registry.split(0, "chat", {"chat@1": 1})
    policy = Canary(registry, "chat", "chat@1", "chat@2", stage_pairs=500, most_pairs=5_000)
    policy.begin(0)
    chances = {"chat@1": FAILURES_FRAC, "chat@2": FAILURES_FRAC * ratio}
    for i in range(1, 5_001):  # a request of either side, in turn
        for name, chance in chances.items():
            step = policy.outcome(i, name, bool(rng.random() < chance))
            if step is not None and step.act in ("promote", "roll back"):
                return step.act == "promote", 2 * i
    return False, 10_000


def canary_chart(found: Trials) -> Chart:
    ratios = tuple(found.promoted)
    rows = list(found.promoted.values())
    return Chart(
        "canary", "failures (multiple of the old version's)",
        (Panel("share of canaries promoted", (Series(
            "promoted", ratios, tuple(row.mean for row in rows), "simulated", "line", 0, tuple(row.low for row in rows),
            tuple(row.high for row in rows)),)),
         Panel("requests until the verdict", (Series(
             "requests", ratios, tuple(found.requests.values()), "simulated", "line", 1),))),
        f"A sequential test decides, stage by stage; the old version fails {FAILURES_FRAC:.0%} of its requests. A "
        "version twice as bad may be promoted in one case in twenty at most.",
        f"n = {found.n} trials of each, seeds 0 to {found.n - 1}, whiskers are 95 % Wilson intervals",
        "Two panels over how much worse the new version is: the share promoted falls from nearly one to nearly zero, "
        "and the number of requests until a verdict is largest in between.",
    )


def alarm_table(series: int, quick: bool) -> Table:
    """Raises UsageError."""
    within("series", series, 5, 2000)
    n = 20 if quick else series
    rows = []
    for jump in (JUMPS[2:] if quick else JUMPS):
        total = sum((_watch(jump, seed) for seed in range(n)), Score(0, 0, 0, 0))
        late = "n/a" if not total.detected else number(total.delay / total.detected)
        rows.append((f"{jump:g}", f"{total.detected} of {total.changes}", late, str(total.false_alarms)))
    return Table(("rate after the change (multiple)", "seen within 100 steps", "mean delay (steps)", "false alarms"),
                 tuple(rows), f"Simulated: CUSUM on Poisson counts with a mean of {MEAN_PER_STEP:g} a step. n = {n} "
                 f"series of {STEPS} steps each, seeds 0 to {n - 1}.")


def _watch(jump: float, seed: int) -> Score:
    rng = np.random.default_rng([seed, round(jump * 1000)])
    change = STEPS * 2 // 3
    means = np.where(np.arange(STEPS) < change, MEAN_PER_STEP, MEAN_PER_STEP * jump)
    detector, alarms = Cusum(learn=60), []
    for step, value in enumerate(rng.poisson(means)):
        if detector.update(step, int(value)) is not None:
            alarms.append(step)
    return score(alarms, [change], PATIENCE)


def numbers(found: Played, trials: Trials, ab: Tested) -> Results:
    apart = max(abs(_by_tenant(found.runs["platform"][0])[name] * 1e-10 - cents)
                for name, cents in _invoiced(found).items())
    return Results((
        Result("invoice_apart_most_cents", apart, "cents", "simulated", len(found.runs["platform"][0].log)),
        *(Result(f"promoted_frac_ratio_{ratio:g}", row.mean, "", "simulated", trials.n, row.low, row.high)
          for ratio, row in trials.promoted.items()),
        *ch17_ab.results(ab),
    ))


def answer(found: Played, trials: Trials, ab: Tested) -> Prose:
    apart = next(item for item in numbers(found, trials, ab).items if item.name == "invoice_apart_most_cents")
    often, seldom = ch17_ab.false_alarms(ab)
    bad = max(trials.promoted)
    row = trials.promoted[bad]
    return Prose(
        f"Over {apart.n:,} requests every invoice is within {float(apart.value or 0):.3f} cents of the sum of its "
        f"requests; a version that fails {bad:g} times as often as the old one is promoted in {row.mean:.1%} of trials "
        f"({row.low:.1%} to {row.high:.1%}), after {trials.requests[bad]:,.0f} requests on average; an A/B test that "
        f"is looked at again and again calls {often.mean:.1%} of equal versions worse ({often.low:.1%} to "
        f"{often.high:.1%}), a sequential one {seldom.mean:.1%} ({seldom.low:.1%} to {seldom.high:.1%})."
    )


def _by_tenant(run: PlaneResult) -> dict[str, int]:
    prices = run.log.ints("price_pusd", 0)
    return {name: int(sum(int(price) for price in prices[playing.mine(run.log, name)]))
            for name in sorted(set(run.log.text("tenant").tolist()))}


def _invoiced(found: Played) -> dict[str, int]:
    run = found.runs["platform"][0]
    assert run.plane.desk.billing is not None
    invoices = issued(run.plane.desk.billing, run.stop_ns)  # closing twice gives the same invoices
    return {name: sum(one.total_cents for one in invoices if one.tenant == name) for name in _by_tenant(run)}
