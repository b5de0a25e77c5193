"""One policy, two drivers: SimPy and asyncio on a virtual clock tell the plane the same, and it decides the same."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from typing import Any

import pytest
from one_engine import OneEngine
from site_model import Site

from sims.clock import Turn
from sims.overheads import Overheads
from sims.plane.failures import Failure
from sims.plane.run import placed, simulate_plane
from sims.rules import VllmRules
from workbench.control.plane.build import plane_of
from workbench.control.plane.events import Arrived, FirstToken, Left, Wake
from workbench.control.plane.journal import Entry, PlaneJournal, first_difference
from workbench.gateway.driver import Gateway
from workbench.gateway.virtual import EverybodyWaits, VirtualLoop, run
from workbench.profile.batch import Batch
from workbench.runlog.schema import Planned

RULES = VllmRules(kv_blocks=120, max_num_seqs=3, max_num_batched_tokens=128, prefix_caching=True)
US = 1_000
CLIENTS = 2
START_NS, BEAT_NS = 6 * US, 4 * US


class Steps:
    """Whole microseconds, so that many things happen at the same instant."""

    def iteration_ns(self, batch: Batch) -> int:
        return US * (2 + batch.prefill_tok // 64 + batch.decode_n // 2)


PLAIN: Mapping[str, Any] = {"replicas": 2}
WINDOWED: Mapping[str, Any] = {
    "replicas": 3, "window": 2, "scheduling": "vtc", "routing": "longest_prefix", "queue": {"limit": 20}}
MUCH: Mapping[str, Any] = {
    "seed": 3, "replicas": 3, "window": 3,
    "auth": {"keys": [{"digest": f"k-{name}", "tenant": name, "user": name} for name in "abc"]},
    "tenants": {"tiers": {"free": {"weight": 1, "priority": 1, "deadline_ns": 90 * US, "ttft_ns": 30 * US},
                          "pro": {"weight": 3, "e2e_ns": 80 * US, "cache": "tier"}},
                "tenants": {"a": {"tier": "free"}, "b": {"tier": "pro"}, "c": {"tier": "pro"}}},
    "limits": {"levels": [{"name": "tenant", "parameters": {"amount": 4_000, "per_ns": 100 * US}},
                          {"name": "user", "counts": "requests", "meter": "sliding_log",
                           "parameters": {"amount": 30, "per_ns": 100 * US}}]},
    "cache": {"capacity_bytes": 300, "ttl_ns": 60 * US},
    "queue": {"limit": 15, "overflow": "drop_lowest", "codel": {"target_ns": 20 * US, "interval_ns": 50 * US}},
    "scheduling": "wfq", "routing": "power_of_choices", "breaker": {"failures": 2, "window": 4, "open_ns": 20 * US},
    "retries": {"wait_ns": 5 * US, "most_wait_ns": 20 * US, "ratio_ppm": 500_000},
    "allocator": {"capacity": 900},
    "billing": {"prices": [{"model": "*", "kind": kind, "flat": 7} for kind in ("input", "output")]},
    "sla": {"window_ns": 60 * US},
}
STALE: Mapping[str, Any] = {"replicas": 3, "window": 4, "routing": {"name": "pipeline", "parameters": {
    "parts": [{"name": "reported", "weight": 2}, {"name": "kv_room"}], "choices": 2}}}
HEDGED: Mapping[str, Any] = {"replicas": 3, "window": 4, "retries": {"wait_ns": 2 * US, "burst": 20}, "hedging": {
    "quantile_ppm": 500_000, "share_ppm": 900_000, "window": 20, "least_seen": 3}}
SCALED: Mapping[str, Any] = {
    "replicas": [{}, {"started": False}, {"started": False}], "window": 3, "retries": {"wait_ns": 2 * US, "burst": 20},
    "autoscale": {"policy": {"name": "concurrency", "parameters": {"target": 2, "stable_ns": 20 * US}},
                  "every_ns": 5 * US, "least": 1, "most": 3, "in_ns": 15 * US}}
CLUSTERED: Mapping[str, Any] = {
    "replicas": 3, "window": 3, "retries": {"wait_ns": 2 * US, "burst": 50},
    "cluster": {"nodes": {"n": 2, "m": 2}, "dead_after_ns": 12 * US, "probation_ns": 9 * US}}
EAGER: Mapping[str, Any] = {
    "replicas": 2, "window": 1, "scheduling": {"name": "edf", "parameters": {"preempt": True}}}


def drawn(seed: int, n: int = 150) -> tuple[list[Planned], dict[str, Arrived]]:
    """Bursts at whole microseconds, from three tenants, some of the same beginning."""
    rng, at_ns, plans, told = Random(seed), 0, list[Planned](), dict[str, Arrived]()
    for i in range(n):
        at_ns += rng.choice([0, 0, US, 3 * US, 9 * US])
        tenant, prompt = rng.choice("abc"), rng.choice([16, 40, 64, 200])
        ids = tuple(rng.randint(0, 2) * 100 + j for j in range(prompt // 16)) if rng.random() < 0.5 else ()
        plan = Planned(f"r{i}", at_ns, prompt, rng.randint(1, 12), tenant, prefix_ids=ids, prefix_tok=16 if ids else 0)
        plans.append(plan)
        told[plan.request_id] = Arrived(
            plan.request_id, tenant, key=f"k-{tenant}", prompt_tok=prompt, estimated_tok=6, max_tok=12,
            deadline_ns=rng.choice([None, None, at_ns + rng.randint(5, 60) * US]), prefix_ids=ids,
            cache=rng.choice(["", "", f"q{rng.randint(0, 4)}"]))
    return plans, told


def by_asyncio(plans: Sequence[Planned], told: Mapping[str, Arrived], facts: Mapping[str, Any],
               failures: Sequence[Failure], patience_ns: int | None, report_ns: int | None) -> PlaneJournal:
    """Clients as tasks, engines as tasks, failures as tasks; nobody knows of the simulator's driver."""
    async def main(loop: VirtualLoop) -> PlaneJournal:
        by_name = {plan.request_id: plan for plan in plans}
        plane = plane_of(facts)
        fresh = partial(OneEngine, loop, rules=RULES, timing=Steps(), plans=by_name)
        engines = [fresh(number=i) for i in range(len(plane.desk.fleet.specs))]
        nodes = list(facts.get("cluster", {}).get("nodes", ()))
        site = Site(loop, engines, placed(plane), nodes, START_NS, lambda i: fresh(number=i), heard=bool(nodes))
        entries: list[Entry] = []
        gateway = site.gateway = Gateway(plane, engines, loop, launcher=site, journal=entries.append)
        for engine, spec in zip(engines, plane.desk.fleet.specs, strict=True):
            if not spec.started:
                engine.die()

        async def client(plan: Planned) -> None:
            await gateway.ask(told[plan.request_id])

        def impatient(task: asyncio.Task[None], name: str) -> None:
            if not task.done() and not gateway.got[name]:
                task.cancel()

        async def reports(every_ns: int) -> None:
            while True:
                await loop.until_ns(loop.now_ns + every_ns, Turn.END, (1 << 31) + 1)
                if gateway.over:
                    return
                for engine in engines:
                    if engine.up and engine.held is None:
                        gateway.tell(engine.report())

        clients = list[asyncio.Task[None]]()
        if report_ns is not None:
            site.do(reports(report_ns))
        if nodes:
            site.do(site.beats(BEAT_NS, lambda: gateway.over))
        for one in failures:
            site.do(site.fails(one))
        for plan in plans:
            await loop.until_ns(plan.intended_ns or 0, Turn.ARRIVE)
            if plan is plans[-1]:
                gateway.close()
            clients.append(loop.create_task(client(plan)))
            if patience_ns is not None:
                give_up = partial(impatient, clients[-1], plan.request_id)
                loop.call_at_ns(loop.now_ns + patience_ns, give_up, Turn.ARRIVE, CLIENTS)
        await asyncio.gather(*clients, return_exceptions=True)
        journal = PlaneJournal(facts, entries)
        while site.busy or (last_ns := _last_wake_ns(journal)) > loop.now_ns:
            if site.busy:
                await asyncio.gather(*site.busy)
            else:
                await loop.until_ns(last_ns, Turn.STOP)
        plane.check()
        for task in asyncio.all_tasks(loop) - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)
        return journal
    journal: PlaneJournal = run(main)
    return journal


def _last_wake_ns(journal: PlaneJournal) -> int:
    return max((one.at_ns for entry in journal.entries for one in entry.decisions if isinstance(one, Wake)), default=0)


DIES = (Failure(100 * US, 0, 50 * US), Failure(180 * US, 1, 30 * US))
CUT = (Failure(60 * US, "n", 40 * US, "partition"), Failure(220 * US, "m", 8 * US, "partition"))
NODES = (Failure(60 * US, "n", 70 * US, "node"), Failure(150 * US, 2, 20 * US, "spot", 25 * US))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("facts", "failures", "patience_ns", "report_ns"), [
    (PLAIN, (), None, None), (WINDOWED, (), None, None), (WINDOWED, DIES, 40 * US, None),
    (EAGER, (), None, None), (STALE, DIES, 60 * US, 20 * US), (MUCH, (), None, None),
    (MUCH, DIES, 25 * US, 7 * US), (HEDGED, (), None, None), (HEDGED, DIES, 60 * US, None),
    (SCALED, (Failure(150 * US, 0, 20 * US, "spot", 25 * US),), None, 20 * US),
    (CLUSTERED, NODES, 90 * US, None), (CLUSTERED, CUT, 90 * US, 20 * US),
], ids=["plain", "windowed", "failing", "preempting", "stale reports", "everything", "everything fails", "hedged",
        "hedged, failing", "scaled", "nodes die", "nodes cut off"])
def test_both_drivers_journals_are_equal_byte_for_byte(
    seed: int, facts: Mapping[str, Any], failures: Sequence[Failure], patience_ns: int | None, report_ns: int | None
) -> None:
    plans, told = drawn(seed)
    simulated = simulate_plane(plans, Steps(), RULES, facts, arrival=lambda plan: told[plan.request_id],
                               failures=failures, patience_ns=patience_ns, report_ns=report_ns,
                               overheads=Overheads(), checked=True, start_ns=START_NS, heartbeat_ns=BEAT_NS)
    served = by_asyncio(plans, told, facts, failures, patience_ns, report_ns)
    assert simulated.journal is not None
    first, second = list(simulated.journal.lines()), list(served.lines())
    for line, other in zip(first, second, strict=False):
        assert line == other
    assert len(first) == len(second)
    assert first_difference(served) is None
    kinds = Counter(type(entry.event) for entry in served.entries)
    assert kinds[Arrived] == 150
    assert kinds[FirstToken] > 20
    assert kinds[Left] > 20


def test_virtual_time_passes_at_once_and_in_order() -> None:
    async def main(loop: VirtualLoop) -> list[str]:
        said: list[str] = []
        for text, at_ns, turn, lane in (("d", 7, 2, 0), ("b", 7, 0, 1), ("c", 7, 1, 0), ("a", 7, 0, 0), ("z", 9, 0, 0)):
            loop.call_at_ns(at_ns, lambda text=text: said.append(f"{text}{loop.now_ns}"), turn, lane)
        loop.call_at_ns(8, lambda: said.append("never")).cancel()
        await asyncio.sleep(3600)
        return [*said, f"{loop.time():.0f} s"]
    assert run(main) == ["a7", "b7", "c7", "d7", "z9", "3600 s"]


def test_waiting_for_ever_is_an_error() -> None:
    async def main(loop: VirtualLoop) -> None:
        await loop.create_future()
    with pytest.raises(EverybodyWaits, match="at 0 ns everybody waits"):
        run(main)
