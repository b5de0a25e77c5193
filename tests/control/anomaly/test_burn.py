"""Burn-rate alerts: in fractions, and as Prometheus' own rule engine sees them."""

import json
import random
import shutil
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.anomaly.burn import DAY, HOUR, MINUTE, RULES, SECOND, BurnRate, Rule

SMALL = (Rule("fast", "page", 6, 2, 3_000), Rule("slow", "ticket", 12, 4, 1_500))


@given(
    counts=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 40)), max_size=60),
    objective_ppm=st.integers(800_000, 999_999),
)
def test_it_fires_exactly_while_both_windows_burn_too_fast(
    counts: list[tuple[int, int, int]], objective_ppm: int
) -> None:
    burn, now_ns, kept, was = BurnRate(objective_ppm, SMALL, step_ns=1), 0, [], ()
    for step_ns, bad, good in counts:
        now_ns += step_ns
        kept.append((now_ns, bad, bad + good))
        alarms = burn.update(now_ns, bad, bad + good)

        def rate(length_ns: int) -> Fraction:
            window = [(b, n) for at_ns, b, n in kept if at_ns > kept[-1][0] - length_ns]
            total = sum(n for _, n in window)
            return Fraction(sum(b for b, _ in window), total) if total else Fraction(0)

        budget = 1 - Fraction(objective_ppm, 10**6)
        expected = tuple(r.name for r in SMALL
                         if min(rate(r.long_ns), rate(r.short_ns)) > budget * Fraction(r.rate_milli, 1000))
        assert burn.firing == expected
        assert tuple(a.what for a in alarms) == tuple(name for name in expected if name not in was)
        assert burn.rate_milli(6) == rate(6) / budget * 1000 // 1
        was = expected


def test_the_standard_rules_spend_what_they_say() -> None:
    """Share of a 30-day budget that is gone when a steady burn at the rate fills the long window."""
    shares = [Fraction(rule.rate_milli, 1000) * rule.long_ns / (30 * DAY) for rule in RULES]
    assert shares == [Fraction(2, 100), Fraction(5, 100), Fraction(10, 100)]
    assert all(rule.long_ns == 12 * rule.short_ns for rule in RULES)


def test_a_total_outage_pages_within_a_minute_and_the_page_ends_soon() -> None:
    burn = BurnRate(999_000, step_ns=SECOND)
    calm = 6 * 3600
    for second in range(calm):
        assert burn.update(second * SECOND, 0, 10) == ()
    seen: dict[int, list[str]] = {}
    for second in range(3600):
        for alarm in burn.update((calm + second) * SECOND, 10 if second < 300 else 0, 10):
            if alarm.severity == "page":
                seen.setdefault(second, []).append(alarm.what)
    # 1.44 % of an hour are 51.84 s, 0.6 % of six are 129.6 s
    assert seen == {51: ["2 % in 1 h"], 129: ["5 % in 6 h"]}
    assert burn.firing == ("10 % in 3 d",)  # the pages ended, the ticket's short window is six hours


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="objective_ppm: 1000000 is not below 1000000"):
        BurnRate(1_000_000)
    with pytest.raises(ValueError, match="rule 2 % in 1 h: windows 300000000000 and 3600000000000 ns must be"):
        BurnRate(999_000, step_ns=7 * MINUTE)
    with pytest.raises(ValueError, match="bad: 3 is not between 0 and the total 2"):
        BurnRate(999_000).update(0, 3, 2)
    burn = BurnRate(999_000)
    burn.update(5, 0, 1)
    with pytest.raises(ValueError, match="clock went back from 5 to 4 ns"):
        burn.update(4, 0, 1)


STEP_NS = 5 * MINUTE
STEPS = 1100


def story() -> list[tuple[int, int]]:
    """Nearly four days: calm, a total outage, a slow fire, a steady trickle, nothing at all, a blip."""
    draws, found = random.Random(5), []
    for step in range(STEPS):
        total = 0 if 640 <= step < 660 else draws.randrange(9_000, 11_000)
        per_mille = 0.2
        if 100 <= step < 104:
            per_mille = 1000
        elif 300 <= step < 390:
            per_mille = 9
        elif 500 <= step < 640:
            per_mille = 1.4
        elif step == 900:
            per_mille = 80
        found.append((round(total * per_mille / 1000 * draws.uniform(0.9, 1.1)) if per_mille < 1000 else total, total))
    return found


def minutes(length_ns: int) -> str:
    return f"{length_ns // MINUTE}m"


def test_promtool_fires_the_same_alerts_at_the_same_times(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install --no-install-recommends prometheus)")
    burn, firing, counts = BurnRate(999_000, step_ns=STEP_NS), [()], story()
    for step, (bad, total) in enumerate(counts, start=1):
        burn.update(step * STEP_NS, bad, total)
        firing.append(burn.firing)
    changes = [step for step, (a, b) in enumerate(pairwise(firing), start=1) if a != b]
    assert len(changes) >= 8
    assert {name for names in firing for name in names} == {rule.name for rule in RULES}

    def ratio(length_ns: int) -> str:
        # scrapes lie half a step before the evaluation: so many and one of them are so many increments
        window = minutes(length_ns + STEP_NS)
        return f"sum(increase(bad_total[{window}])) / sum(increase(all_total[{window}]))"

    rules = [{
        "alert": rule.name, "labels": {"severity": rule.severity},
        "expr": f"({ratio(rule.long_ns)} > {rule.rate_milli}e-3 * 0.001) and "
                f"({ratio(rule.short_ns)} > {rule.rate_milli}e-3 * 0.001)",
    } for rule in RULES]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "burn", "rules": rules}]}))
    # far from 0, where increase() would extrapolate less
    sums = {name: [10**9] for name in ("bad_total", "all_total")}
    for bad, total in counts:
        sums["bad_total"].append(sums["bad_total"][-1] + bad)
        sums["all_total"].append(sums["all_total"][-1] + total)
    looked = sorted({s + d for s in changes for d in (-1, 0, 1)} | set(range(5, STEPS, 60)))
    (tmp_path / "test.yaml").write_text(json.dumps({
        "rule_files": ["rules.yaml"], "evaluation_interval": "150s",
        "tests": [{
            "interval": "5m",
            "input_series": [{"series": n, "values": " ".join(map(str, values))} for n, values in sums.items()],
            "alert_rule_test": [{
                "eval_time": f"{step * STEP_NS // SECOND + 150}s", "alertname": rule.name,
                "exp_alerts": [{"exp_labels": {"severity": rule.severity}}] if rule.name in firing[step] else [],
            } for step in looked for rule in RULES],
        }],
    }))
    done = subprocess.run([promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert HOUR == 12 * STEP_NS
