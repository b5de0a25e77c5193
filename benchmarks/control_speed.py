"""How fast the control plane's policies are: operations per CPU-second, one process, pure Python.

    python benchmarks/control_speed.py --operations 200000 --json

An operation is one ask (or one reservation with its commit, or one look with its fill) of one of 1,000 keys; about half
are refused, and a cache misses always. Of an order of release it is one arrival, one release and one charge, while
1,000 requests of as many tenants wait; of the bounded line an arrival or, half as often, a release: half are shed.
"""

import hashlib
import time
from collections.abc import Callable
from itertools import count
from random import Random

from rates import main

from workbench.control.anomaly.burn import BurnRate
from workbench.control.anomaly.change import Cusum, PageHinkley
from workbench.control.anomaly.protocol import Detector
from workbench.control.anomaly.seasonal import SeasonalNaive
from workbench.control.auth.api_keys import ApiKeys
from workbench.control.auth.manager import UserManager
from workbench.control.auth.quotas import Quotas
from workbench.control.cache import CacheKey, Eviction, Hit, Lfu, Lru, ResponseCache, TinyLfu
from workbench.control.capacity.concurrency import Concurrency
from workbench.control.capacity.predictive import predictive_seasonal
from workbench.control.capacity.protocol import Autoscaler, Observed
from workbench.control.capacity.queue import QueueBased
from workbench.control.capacity.steady import Steady
from workbench.control.capacity.target import TargetTracking
from workbench.control.coordination.leases import Leases
from workbench.control.hybrid.browser_models import BrowserModel, BrowserModelRegistry, Device
from workbench.control.hybrid.router import Ask, HybridRouter, ServerState
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
from workbench.control.models.best import Need, best
from workbench.control.models.canary import Canary
from workbench.control.models.registry import ModelRegistry, Version
from workbench.control.queueing.manager import QueueManager
from workbench.control.request import Waiting
from workbench.control.resources.allocator import Allocator
from workbench.control.routing.affine import PrefixAffine, SessionAffine
from workbench.control.routing.breaker import CircuitBreaker
from workbench.control.routing.hedging import Hedging
from workbench.control.routing.least import LeastOutstanding, PowerOfChoices
from workbench.control.routing.pipeline import Pipeline
from workbench.control.routing.prefixes import KvAware, LongestPrefix
from workbench.control.routing.protocol import Candidate, Router, Signal
from workbench.control.routing.retries import Attempt, Retries
from workbench.control.routing.turns import RoundRobin, SmoothWeighted
from workbench.control.scheduling.deficit import DeficitRoundRobin
from workbench.control.scheduling.fair import StartTimeFair, VirtualTokens
from workbench.control.scheduling.ordered import Ageing, EarliestDeadline, Fifo
from workbench.control.scheduling.protocol import Scheduler

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


def routing(router: Router) -> Policy:
    """One request for one of 16 replicas, whose loads differ; 8 prompt blocks, of which 4 are common to some."""
    fleet = [[Candidate(r, (r * 7 + turn) % 13, (r * 577 + turn) % 9001, Signal(0, r % 5, 3)) for r in range(16)]
             for turn in range(13)]
    numbers = count()

    def pick(now_ns: int, key: str, amount: int) -> object:
        i = next(numbers)
        blocks = (i % 50, 100 + i % 50, 200 + i % 50, 300 + i % 50, *range(1000 + 4 * i, 1004 + 4 * i))
        item = Waiting("r", key, prompt_tok=128 * amount, prefix_ids=blocks, session=key)
        return router.pick(now_ns, item, fleet[i % 13])

    return pick


def breaking() -> Policy:
    """Asked, sent, answered; a third of the answers are failures."""
    breaker, numbers = CircuitBreaker(open_ns=1, open_most_ns=10**6), count()

    def step(now_ns: int, key: str, amount: int) -> object:
        i = next(numbers)
        if breaker.allows(now_ns, i % 16):
            breaker.sent(now_ns, i % 16, key)
            breaker.done(now_ns, i % 16, key, "failure" if i % 3 == amount else "ok")
        return None

    return step


def retrying() -> Policy:
    retries = Retries(Random(1))

    def step(now_ns: int, key: str, amount: int) -> object:
        retries.request(now_ns)
        return retries.failed(now_ns, Attempt(key, amount, "failure"))

    return step


def hedging() -> Policy:
    """Sent, looked whether it is time, first byte."""
    hedges, numbers = Hedging(), count()

    def step(now_ns: int, key: str, amount: int) -> object:
        request_id = f"{key} {next(numbers) + amount}"
        hedges.sent(now_ns, request_id, "a")
        for late in hedges.on_time(now_ns):
            hedges.hedged(now_ns, late, "b")
        return hedges.first_byte(now_ns, request_id, "a")

    return step


def versions() -> ModelRegistry:
    first = Version("m", "0", "sha", 8192, 600_000, ("chat",), 100, 300)
    others = [first._replace(version=str(i), quality_ppm=600_000 + i, input_price=100 + i) for i in range(1, 4)]
    return ModelRegistry([first, *others], {"auto": {"m@0": 95, "m@1": 5}})


def choosing() -> Policy:
    """An alias with a split for a user, and the best of four for a request."""
    models = versions()

    def step(now_ns: int, key: str, amount: int) -> object:
        return models.resolve(now_ns, "auto", key), best(models.versions(), Need(100 * amount, 50, ("chat",), 600_001))

    return step


def gating() -> Policy:
    canary = Canary(versions(), "auto", "m@0", "m@1", most_pairs=10**9, stage_pairs=10**8)
    numbers = count()

    def step(now_ns: int, key: str, amount: int) -> object:  # noqa: ARG001 - all policies are called alike
        i = next(numbers)
        return canary.outcome(now_ns, f"m@{i % 2}", i // 2 % 100 < amount)

    return step


def placing() -> Policy:
    """Browser or server, of seven models."""
    model = BrowserModel("m0", "M", "webgpu", 10**9, 10**9, 10**9, 2 * 10**9, 4096)
    router = HybridRouter(BrowserModelRegistry([model._replace(id=f"m{i}") for i in range(7)]))
    device, server = Device(10**10, 10**10, 10**11, 10**12, 10**8, 10**10, stored=("m3",)), ServerState(10**9, 10**10)

    def step(now_ns: int, key: str, amount: int) -> object:  # noqa: ARG001 - all policies are called alike
        return router.decide(now_ns, device, Ask(100, amount), server)

    return step


def knowing() -> Policy:
    """Key, scope and quota of one of 1,000 users."""
    book = ApiKeys(bytes(32))
    issued = [book.issue(0, f"k{i}", "s" * 32, key, "acme", ["chat"]) for i, key in enumerate(KEYS)]
    users, secret = UserManager([book], quotas=Quotas(PER_NS, default=10)), dict(zip(KEYS, issued, strict=True))
    return lambda now_ns, key, amount: users.authorise(now_ns, secret[key], "chat")  # noqa: ARG005


def allocating() -> Policy:
    """One reservation, or one release; a tenth of the pool is guaranteed."""
    pool, numbers = Allocator(1_000, guarantees={"tenant-1": 100}), count()

    def turn(now_ns: int, key: str, amount: int) -> object:
        number = next(numbers)
        if number % 2:
            return pool.release(now_ns, f"r{number - 1}")
        return pool.reserve(now_ns, f"r{number}", key, amount)

    return turn


def scaling(autoscaler: Autoscaler) -> Policy:
    """One look at a fleet of four."""
    steady = Steady(autoscaler)
    return lambda now_ns, key, amount: steady.decide(  # noqa: ARG005
        now_ns, Observed(4, 1, 20 + amount, 3, 10, 3_000_000))


def watching(detector: Detector) -> Policy:
    """One value."""
    return lambda now_ns, key, amount: detector.update(now_ns, len(key) + amount)


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
    "routing.round_robin": lambda: routing(RoundRobin()),
    "routing.smooth_weighted": lambda: routing(SmoothWeighted()),
    "routing.least_outstanding": lambda: routing(LeastOutstanding("tokens")),
    "routing.power_of_two": lambda: routing(PowerOfChoices(Random(1))),
    "routing.session_affine": lambda: routing(SessionAffine()),
    "routing.prefix_affine": lambda: routing(PrefixAffine()),
    "routing.longest_prefix": lambda: routing(LongestPrefix()),
    "routing.kv_aware": lambda: routing(KvAware()),
    "routing.pipeline": lambda: routing(Pipeline([{"name": "reported"}, {"name": "kv_room"}], Random(1), choices=2,
                                                 share_ppm=1_250_000)),
    "routing.breaker": breaking,
    "routing.retries": retrying,
    "routing.hedging": hedging,
    "models.resolve_and_best": choosing,
    "models.canary": gating,
    "hybrid.decide": placing,
    "auth.authorise": knowing,
    "resources.allocator": allocating,
    "coordination.leases": lambda: (lambda leases: lambda now_ns, key, _: leases.acquire(now_ns, key, "n"))(
        Leases(PER_NS)),
    "capacity.target": lambda: scaling(TargetTracking()),
    "capacity.queue": lambda: scaling(QueueBased(10, PER_NS, PER_NS)),
    "capacity.concurrency": lambda: scaling(Concurrency(10, PER_NS)),
    "capacity.predictive": lambda: scaling(predictive_seasonal(100 * PER_NS, PER_NS, 10, PER_NS, PER_NS, PER_NS)),
    "anomaly.burn_rate": lambda: (lambda burn: lambda now_ns, _, amount: burn.update(now_ns, 0, amount))(
        BurnRate(999_000)),
    "anomaly.cusum": lambda: watching(Cusum()),
    "anomaly.page_hinkley": lambda: watching(PageHinkley(10**6)),
    "anomaly.seasonal": lambda: watching(SeasonalNaive(48)),
}


def measure(name: str, operations: int) -> float:
    """Operations per CPU-second of this process."""
    policy, keys = POLICIES[name](), KEYS * (operations // len(KEYS) + 1)
    start = time.process_time()
    for i in range(operations):
        policy(GAP_NS * i, keys[i], 1)
    return operations / (time.process_time() - start)


if __name__ == "__main__":
    main(__doc__, POLICIES, measure)
