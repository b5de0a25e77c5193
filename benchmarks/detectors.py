"""How good the detectors are: false alarms and delay on values with a season and known changes of the mean.

    python benchmarks/detectors.py --runs 20 --json

Each run: 30 seasons of 48 steps, a sine of the given height plus normal noise of sigma 20 around 1,000, and from step
960 on everything higher by the given shift. An alarm within a season of the change is its detection, others are false.
"""

import argparse
import json
import math
import random
from collections.abc import Callable

from workbench.adapters.detect_river import RiverDetector
from workbench.control.anomaly.change import Cusum, Deseasoned, PageHinkley
from workbench.control.anomaly.protocol import Detector
from workbench.control.anomaly.score import Score, score
from workbench.control.anomaly.seasonal import SeasonalNaive

SEASON, SEASONS, CHANGE_AT, SIGMA = 48, 30, 960, 20
CASES = {  # height of the season, shift; in units of the value
    "flat, small shift": (0, 30), "flat, large shift": (0, 100),
    "season, small shift": (200, 30), "season, large shift": (200, 100), "season, no shift": (200, 0),
}
DETECTORS: dict[str, Callable[[], Detector]] = {
    "seasonal-naive (baseline)": lambda: SeasonalNaive(SEASON),
    "CUSUM": lambda: Cusum(),
    "CUSUM, deseasoned": lambda: Deseasoned(Cusum(), SEASON),
    "Page-Hinkley": lambda: PageHinkley(limit=400, slack=15),
    "Page-Hinkley, deseasoned": lambda: Deseasoned(PageHinkley(limit=400, slack=15), SEASON),
    "river ADWIN": lambda: RiverDetector("ADWIN"),
    "river ADWIN, deseasoned": lambda: Deseasoned(RiverDetector("ADWIN"), SEASON),
}


def values(seed: int, height: int, shift: int) -> list[int]:
    draws = random.Random(seed)
    return [
        round(1000 + height * math.sin(2 * math.pi * at / SEASON) + draws.gauss(0, SIGMA)
              + (shift if at >= CHANGE_AT else 0))
        for at in range(SEASON * SEASONS)
    ]


def measure(detector: str, case: str, runs: int) -> Score:
    height, shift = CASES[case]
    total = Score(0, 0, 0, 0)
    for seed in range(runs):
        watches = DETECTORS[detector]()
        alarms = [at for at, value in enumerate(values(seed, height, shift)) if watches.update(at, value)]
        total += score(alarms, [CHANGE_AT] if shift else [], SEASON)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    asked = parser.parse_args()
    if asked.runs < 1:
        parser.error("runs must be at least 1")
    found = {case: {name: measure(name, case, asked.runs) for name in DETECTORS} for case in CASES}
    if asked.json:
        print(json.dumps({case: {n: s._asdict() for n, s in of.items()} for case, of in found.items()}))
        return
    print(f"| values | detector | found of {asked.runs} | mean delay (steps) | false alarms in {asked.runs} runs |")
    print("|---|---|---|---|---|")
    for case, of in found.items():
        for name, s in of.items():
            delay = f"{s.delay / s.detected:.1f}" if s.detected else "-"
            print(f"| {case} | {name} | {s.detected if s.changes else '-'} | {delay} | {s.false_alarms} |")


if __name__ == "__main__":
    main()
