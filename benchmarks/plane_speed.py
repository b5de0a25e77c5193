"""How fast the control plane is with every part on: events per CPU-second, one process, pure Python.

    python benchmarks/plane_speed.py --requests 20000 --json

16 replicas with a window of 16, four tenants; each request arrives, has its first token, and leaves; a few fail, a few
are answered from the cache, and about 200 wait in line. Only the plane's own time counts.
"""

import argparse
import gc
import json
import sys
import time
from collections import deque
from dataclasses import asdict
from heapq import heappop, heappush
from random import Random
from typing import Any

from workbench.control.plane.build import plane_of
from workbench.control.plane.events import Arrived, Cancel, Event, FirstToken, Left, Release, Time, Wake
from workbench.runlog.provenance import Machine

SECOND = 10**9
TENANTS = ("a", "b", "c", "d")
FACTS: dict[str, Any] = {
    "replicas": 16, "window": 16,
    "auth": {"keys": [{"digest": f"key-{name}", "tenant": name} for name in TENANTS]},
    "tenants": {"tiers": {"free": {"weight": 1, "deadline_ns": 600 * SECOND, "ttft_ns": SECOND},
                          "pro": {"weight": 4, "ttft_ns": SECOND}},
                "tenants": {name: {"tier": "free" if name < "c" else "pro"} for name in TENANTS}},
    "limits": {"levels": [
        {"name": "requests", "by": "tenant", "counts": "requests", "parameters": {"amount": 10**6, "per_ns": SECOND}},
        {"name": "tokens", "by": "tenant", "parameters": {"amount": 10**9, "per_ns": SECOND}}]},
    "cache": {"capacity_bytes": 10**6, "ttl_ns": 60 * SECOND},
    "models": {"versions": [{"model": "m", "version": "1", "revision": "r", "context_tok": 10_000}]},
    "queue": {"limit": 1000}, "scheduling": "wfq",
    "routing": {"name": "least_outstanding", "parameters": {"by": "tokens"}},
    "breaker": {"failures": 50, "window": 64}, "retries": {}, "allocator": {"capacity": 10**7},
    "billing": {"prices": [{"model": "*", "kind": kind, "flat": 150_000} for kind in ("input", "output")]},
    "sla": {"window_ns": 60 * SECOND},
}
# second attempts, ejection, and a bound on every tenant, so that who cannot go is passed over
RACES: dict[str, Any] = {
    **FACTS, "hedging": {}, "ejection": {},
    "tenants": {**FACTS["tenants"], "tiers": {
        name: {**tier, "concurrent": 200, "flags": {"hedging": True}}
        for name, tier in FACTS["tenants"]["tiers"].items()}},
}


def measure(requests: int, facts: dict[str, Any]) -> tuple[int, float]:
    """(events, CPU seconds): recorded once, then told to a fresh plane as fast as it goes."""
    told = record(requests, facts)
    plane = plane_of(facts)
    gc.collect()
    gc.disable()  # as the simulator's clock does: nothing here makes cycles
    begun = time.process_time()
    for now_ns, event in told:
        plane.on(now_ns, event)
    spent = time.process_time() - begun
    gc.enable()
    plane.check()
    return len(told), spent


def record(requests: int, facts: dict[str, Any]) -> list[tuple[int, Event]]:
    plane, rng, out, wakes = plane_of(facts), Random(1), deque[tuple[str, int]](), list[int]()
    told, now_ns = list[tuple[int, Event]](), 0

    def tell(event: Event) -> None:
        told.append((now_ns, event))
        for one in plane.on(now_ns, event):
            if isinstance(one, Release):
                out.append((one.request_id, one.attempt))
            elif isinstance(one, Cancel):
                out.remove((one.request_id, one.attempt))
            elif isinstance(one, Wake):
                heappush(wakes, one.at_ns)

    for i in range(requests):
        now_ns += 1_000_000
        while wakes and wakes[0] <= now_ns:
            heappop(wakes)
            tell(Time())
        tenant = TENANTS[i % 4]
        tell(Arrived(f"r{i}", tenant, tenant, f"key-{tenant}", "", "m", rng.randint(1, 2000), 100, 200,
                     cache=f"q{rng.randint(0, 2000)}" if i % 3 == 0 else ""))
        while len(out) and (i > requests - 2 or plane.desk.tally.arrived - plane.desk.tally.ended > 450):
            name, attempt = out.popleft()
            tell(FirstToken(name, attempt))
            tell(Left(name, attempt, "ok" if rng.random() > 0.02 else "failure", 100, 0, 50))
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    plain = {"replicas": 16, "window": 16}
    kinds = (("everything on", FACTS), ("and second attempts", RACES), ("queue and router", plain))
    found = {name: round(events / spent) for name, facts in kinds
             for events, spent in [measure(given.requests, facts)]}
    if given.json:
        json.dump({"events_per_cpu_s": found, "machine": asdict(Machine.here())}, sys.stdout)
        return
    for name, rate in found.items():
        print(f"{name:20} {rate:>10,} events per CPU-second")


if __name__ == "__main__":
    main()
