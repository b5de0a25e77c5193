"""How fast money is: operations per CPU-second, one process, pure Python.

    python benchmarks/money_speed.py --operations 200000 --json

Facts are made beforehand. An operation is one request recorded (priced under tiers, posted), one event of a payment
provider, one invoice through its dunning until it is paid, or one request summed for the cost report.
"""

import time
from collections.abc import Callable

from rates import main

from workbench.control.money.billing import Billing
from workbench.control.money.cost_tracker import CostTracker
from workbench.control.money.dunning import Dunning
from workbench.control.money.payments import Payments, ProviderEvent
from workbench.control.money.periods import DAY_NS
from workbench.control.money.price_book import ANY, PriceBook, Version
from workbench.control.money.rates import Flat, Graduated, Tier
from workbench.control.money.usage import Usage

Step = Callable[[int], object]


def usage(i: int) -> Usage:
    return Usage(f"r{i}", i, f"tenant-{i % 100}", f"m{i % 3}", 1000 + i % 97, 200, 100, 12_345, "", f"r{i}")


def recording(operations: int) -> Step:
    tiers = Graduated((Tier(10**6, 600_000), Tier(None, 400_000)))
    engine = Billing(PriceBook([
        Version(ANY, "input", tiers), Version(ANY, "cached", Flat(60_000)), Version(ANY, "output", tiers)]))
    facts = [usage(i) for i in range(operations)]
    return lambda i: engine.record(i, facts[i])


def paying(operations: int) -> Step:
    payments = Payments()
    facts = [ProviderEvent(f"e{i}", i, "payment", f"p{i // 2}", ("pending", "succeeded")[i % 2], 500,
                           f"tenant-{i % 100}", f"INV-{i // 2}") for i in range(operations)]
    return lambda i: payments.on(i, facts[i])


def dunning(_: int) -> Step:
    policy = Dunning()

    def step(i: int) -> object:
        now_ns = i * DAY_NS
        policy.owed(now_ns, f"i{i}", f"tenant-{i}", now_ns)
        policy.on_time(now_ns)
        return policy.paid(now_ns, f"i{i - 10}")

    return step


def tracking(operations: int) -> Step:
    tracker, facts = CostTracker(), [usage(i) for i in range(operations)]
    return lambda i: tracker.record(facts[i], i)


POLICIES: dict[str, Callable[[int], Step]] = {
    "money.record": recording, "money.provider_event": paying, "money.dunning": dunning, "money.cost_tracker": tracking,
}


def measure(name: str, operations: int) -> float:
    step = POLICIES[name](operations)
    start = time.process_time()
    for i in range(operations):
        step(i)
    return operations / (time.process_time() - start)


if __name__ == "__main__":
    main(__doc__, POLICIES, measure)
