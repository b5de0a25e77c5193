"""One metric schema, whoever drives: the gateway's live values are those of the simulator's journal, replayed."""

import asyncio

import pytest
from one_engine import OneEngine
from test_two_drivers import MUCH, PLAIN, RULES, STALE, WINDOWED, Steps, drawn

from sims.clock import Turn
from sims.overheads import Overheads
from sims.plane.run import simulate_plane
from workbench.control.plane.build import plane_of
from workbench.control.plane.journal import Entry
from workbench.control.plane.metrics import ObservedPlane, PlaneMetrics, models_of
from workbench.control.telemetry.values import Values
from workbench.gateway.driver import Gateway
from workbench.gateway.virtual import VirtualLoop, run


@pytest.mark.parametrize("facts", [PLAIN, WINDOWED, MUCH, STALE], ids=["plain", "windowed", "much", "stale"])
def test_simulation_gateway_and_replay_emit_the_same_values(facts: dict[str, object]) -> None:
    plans, told = drawn(5)

    async def main(loop: VirtualLoop) -> tuple[Values, Values]:
        plane = ObservedPlane(plane_of(facts))
        by_name = {plan.request_id: plan for plan in plans}
        engines = [OneEngine(loop, i, RULES, Steps(), by_name) for i in range(len(plane.desk.fleet.specs))]
        entries, clients = list[Entry](), list[asyncio.Task[object]]()
        gateway = Gateway(plane, engines, loop, journal=entries.append)
        for plan in plans:
            await loop.until_ns(plan.intended_ns or 0, Turn.ARRIVE)
            clients.append(loop.create_task(gateway.ask(told[plan.request_id])))
        await asyncio.gather(*clients)
        for task in asyncio.all_tasks(loop) - {asyncio.current_task()}:  # engines wait for ever
            task.cancel()
        await asyncio.sleep(0)
        return plane.metrics.values, PlaneMetrics.of(entries, models_of(plane)).values

    live, replayed = run(main)
    simulated = simulate_plane(plans, Steps(), RULES, facts, arrival=lambda plan: told[plan.request_id],
                               overheads=Overheads())
    assert simulated.journal is not None
    of_simulation = PlaneMetrics.of(simulated.journal.entries, models_of(plane_of(facts))).values
    assert live == replayed == of_simulation
    assert live.text() == of_simulation.text()
    assert live.get("workbench_arrivals_total") == len(plans)


def test_a_simulation_that_keeps_no_journal_has_the_same_metrics() -> None:
    plans, told = drawn(6)
    values = []
    for keep in (True, False):
        found = simulate_plane(plans, Steps(), RULES, MUCH, arrival=lambda plan: told[plan.request_id],
                               overheads=Overheads(), keep_journal=keep, observe=True)
        assert isinstance(found.plane, ObservedPlane)
        assert (found.journal is not None) == keep
        values.append(found.plane.metrics.values)
        if found.journal is not None:
            assert PlaneMetrics.of(found.journal.entries, models_of(found.plane)).values == values[0]
    assert values[0] == values[1]
