"""Operations of plain facts: `autoscale`, `alarms`, `canary` and `cluster` of a `[control]` table."""

from collections.abc import Mapping
from typing import Any

from workbench.control.plane.desk import Desk
from workbench.control.plane.operations.operations import Operations

TABLES = ("alarms", "autoscale", "canary", "cluster")


def operations_of(facts: Mapping[str, Any], desk: Desk) -> Operations | None:
    """None: nobody asked for any, and no replica waits for its start."""
    if not any(name in facts for name in TABLES) and all(spec.started for spec in desk.fleet.specs):
        return None
    return Operations(desk)
