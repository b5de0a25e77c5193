"""What all steps of the plane work on: the policies that are there, who is inside, and what was decided so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workbench.control.auth.manager import UserManager
from workbench.control.cache import CacheKey, ResponseCache
from workbench.control.hybrid.part import Hybrid
from workbench.control.limits import Limits
from workbench.control.models.registry import ModelRegistry
from workbench.control.money.billing import Billing
from workbench.control.plane.events import Decision
from workbench.control.plane.fleet import Fleet
from workbench.control.plane.gate import Running
from workbench.control.plane.inside import Inside, Tally
from workbench.control.plane.lines import Alarm, Alarms, Line
from workbench.control.plane.plan_limits import PlanLimits
from workbench.control.resources.allocator import Allocator
from workbench.control.routing.hedging import Hedging
from workbench.control.routing.protocol import Router
from workbench.control.routing.retries import Retries
from workbench.control.scheduling.sla import Attainment
from workbench.control.tenants.book import Tenants

if TYPE_CHECKING:
    from workbench.control.plane.operations.operations import Operations  # it works on the desk itself


@dataclass(slots=True)
class Desk:
    """None: that policy is absent. `lines` by pool."""

    fleet: Fleet
    lines: Mapping[str, Line]
    router: Router
    auth: UserManager | None = None
    tenants: Tenants | None = None
    limits: Limits | PlanLimits | None = None
    cache: ResponseCache | None = None
    models: ModelRegistry | None = None
    allocator: Allocator | None = None  # of KV tokens, the whole fleet's
    retries: Retries | None = None
    hedging: Hedging | None = None
    running: Running | None = None  # where a plan bounds it
    billing: Billing | None = None
    sla: Attainment | None = None
    hybrid: Hybrid | None = None
    operations: "Operations | None" = None  # who runs the fleet, and who watches it
    inside: dict[str, Inside] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    decided: list[Decision] = field(default_factory=list)
    patience: Alarms = field(default_factory=Alarms)  # of those that no queue watches
    later: Alarms = field(default_factory=Alarms)  # retries
    orphans: list[CacheKey] = field(default_factory=list)  # flights whose leader failed
    sequence: int = 0

    def whose(self, alarm: Alarm) -> Inside | None:
        """None: it is over, perhaps another of its id is here."""
        state = self.inside.get(alarm.request_id)
        return state if state is not None and state.item.sequence == alarm.sequence else None
