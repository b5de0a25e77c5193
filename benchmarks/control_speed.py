"""How fast the control plane's policies are: operations per CPU-second, one process, pure Python.

    python benchmarks/control_speed.py --operations 200000 --json

An operation is one ask (or one reservation with its commit, or one look with its fill) of one of 1,000 keys; about half
are refused, and a cache misses always. Of an order of release it is one arrival, one release and one charge, while
1,000 requests of as many tenants wait; of the bounded line an arrival or, half as often, a release: half are shed.
"""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import count

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
from workbench.control.queueing.manager import QueueManager
from workbench.control.request import Waiting
from workbench.control.scheduling.deficit import DeficitRoundRobin
from workbench.control.scheduling.fair import StartTimeFair, VirtualTokens
from workbench.control.scheduling.ordered import Ageing, EarliestDeadline, Fifo
from workbench.control.scheduling.protocol import Scheduler
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


def ordering(order: Scheduler) -> Policy:
    """A request comes, another one is released and charged; a thousand wait all along."""
    for i, key in enumerate(KEYS):
        order.push(0, Waiting(f"first{i}", key, prompt_tok=1 + i % 97, estimated_tok=1 + i % 31, sequence=i))
    numbers = count(len(KEYS))

    def step(now_ns: int, key: str, amount: int) -> object:
        i = next(numbers)
        order.push(now_ns, Waiting(f"r{i}", key, "pro", "", "m", i % 97 + amount, i % 31, now_ns, now_ns + i, i % 4, i))
        item = order.pop(now_ns)
        order.charge(now_ns, item.request_id, item.prompt_tok, i % 29)
        return item

    return step


def bounded() -> Policy:
    """As ordering, of a full line with deadlines that sheds the lowest class."""
    manager = QueueManager(Fifo(), limit=1_000, tenant_limit=10, overflow="drop_lowest", service={"base_ns": 1},
                           codel={}, pressure={"up": [900], "down": [100]})
    numbers = count()

    def step(now_ns: int, key: str, amount: int) -> object:
        i = next(numbers)
        if i % 3 == 0:
            return manager.pop(now_ns)
        return manager.push(now_ns, Waiting(f"r{i}", key, "pro", "", "m", amount, 1, now_ns, now_ns + 10**9, i % 4, i))

    return step


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
    "scheduling.fifo": lambda: ordering(Fifo()),
    "scheduling.ageing": lambda: ordering(Ageing()),
    "scheduling.edf": lambda: ordering(EarliestDeadline()),
    "scheduling.start_time_fair": lambda: ordering(StartTimeFair()),
    "scheduling.virtual_tokens": lambda: ordering(VirtualTokens()),
    "scheduling.deficit_round_robin": lambda: ordering(DeficitRoundRobin()),
    "queueing.bounded": bounded,
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
