"""How fast the control plane's policies are: operations per CPU-second, one process, pure Python.

    python benchmarks/control_speed.py --operations 200000 --json

An operation is one ask (or one reservation with its commit, or one look with its fill) of one of 1,000 keys; about half
are refused, and a cache misses always.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

from workbench.control.cache import CacheKey, Eviction, Hit, Lfu, Lru, ResponseCache, TinyLfu
from workbench.control.limits import (
    FixedWindow,
    Gcra,
    Level,
    Limits,
    Meter,
    Reservation,
    Shaper,
    SlidingCounter,
    SlidingLog,
)
from workbench.runlog.provenance import Machine

KEYS = [f"tenant-{i}" for i in range(1000)]
GAP_NS = 10_000  # each key asks for 1 every 10 ms, twice what its limit gives
PER_NS = 200_000_000
Policy = Callable[[int, str, int], object]  # now_ns, key, amount


def one(meter: Meter) -> Policy:
    return Limits([Level("tenant", meter)]).ask


def hierarchy() -> Policy:
    limits = Limits([
        Level("tenant", Gcra(10, PER_NS)), Level("user", SlidingCounter(20, PER_NS)),
        Level("model", FixedWindow(10**6, PER_NS)),
    ])

    def ask(now_ns: int, key: str, amount: int) -> object:
        return limits.ask(now_ns, {"tenant": key, "user": key, "model": "m"}, amount)

    return ask


def reserving() -> Policy:
    limits = Limits([Level("tenant", Gcra(10, PER_NS))])

    def both(now_ns: int, key: str, amount: int) -> object:
        held = limits.reserve(now_ns, key, 2 * amount)
        if isinstance(held, Reservation):
            limits.commit(now_ns, held, amount)
        return held

    return both


def caching(eviction: Eviction) -> Policy:
    """A third of the keys fit; who misses fills."""
    cache = ResponseCache(333, PER_NS, eviction)
    keys = {key: CacheKey("m", "1", hashlib.sha256(key.encode()).hexdigest()) for key in KEYS}

    def look(now_ns: int, key: str, amount: int) -> object:  # noqa: ARG001 - all policies are called alike
        found = cache.look(now_ns, keys[key], key)
        if not isinstance(found, Hit):
            cache.fill(now_ns, keys[key], b"x")
        return found

    return look


POLICIES: dict[str, Callable[[], Policy]] = {
    "limits.gcra": lambda: one(Gcra(10, PER_NS)),
    "limits.fixed_window": lambda: one(FixedWindow(10, PER_NS)),
    "limits.sliding_log": lambda: one(SlidingLog(10, PER_NS)),
    "limits.sliding_counter": lambda: one(SlidingCounter(10, PER_NS)),
    "limits.shaper": lambda: Shaper(10, PER_NS, 10, 10**8).ask,
    "limits.three_levels": hierarchy,
    "limits.reserve_and_commit": reserving,
    "cache.lru": lambda: caching(Lru()),
    "cache.lfu": lambda: caching(Lfu()),
    "cache.tinylfu": lambda: caching(TinyLfu()),
}


def measure(name: str, operations: int) -> float:
    """Operations per CPU-second of this process."""
    policy, keys = POLICIES[name](), KEYS * (operations // len(KEYS) + 1)
    start = time.process_time()
    for i in range(operations):
        policy(GAP_NS * i, keys[i], 1)
    return operations / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=200_000)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    asked = parser.parse_args()
    if asked.operations < 1:
        parser.error("operations must be at least 1")
    found = {name: measure(name, asked.operations) for name in POLICIES}
    if asked.json:
        print(json.dumps({"operations_per_cpu_s": found, "operations": asked.operations,
                          "machine": asdict(Machine.here()), "python": sys.version.split()[0]}))
    else:
        for name, rate in found.items():
            print(f"{name:28} {rate:12,.0f} operations per CPU-second")


if __name__ == "__main__":
    main()
