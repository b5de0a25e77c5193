"""The same workload at another rate: its shape over time stays, only how many come changes."""

from typing import Any

from workbench.errors import UsageError
from workbench.workload.arrivals import Closed
from workbench.workload.spec import WorkloadSpec
from workbench.workload.varying import Bursts


def rate_of(spec: WorkloadSpec) -> float:
    """What its `rate_per_s` says: of arrivals the mean (bursts: outside of them), of a trace what it is stretched to,
    of tenants their sum. Raises UsageError where none is said."""
    if spec.tenants:
        return sum(rate_of(item) for item in spec.tenants)
    if spec.arrivals is not None and not isinstance(spec.arrivals, Closed):
        return spec.arrivals.rate_per_s
    if spec.arrivals is None and spec.trace is not None and spec.trace.rate_per_s is not None:
        return spec.trace.rate_per_s
    raise UsageError("the workload says no rate: give its arrivals, or its trace, a rate_per_s")


def at_rate(spec: WorkloadSpec, rate_per_s: float) -> WorkloadSpec:
    """Whose arrivals (of sessions: their beginnings) come at this rate.

    Diurnal and hourly shapes keep their hours, bursts their hours and how many times the usual rate they are; a trace
    is stretched in time; tenants keep their shares. Requests and lengths stay as drawn.
    """
    if spec.tenants:
        factor = rate_per_s / rate_of(spec)
        return spec.model_copy(update={"tenants": tuple(at_rate(item, rate_of(item) * factor)
                                                        for item in spec.tenants)})
    if isinstance(spec.arrivals, Closed):
        raise UsageError("closed arrivals have no rate to change")
    if spec.arrivals is None:
        assert spec.trace is not None
        return spec.model_copy(update={"trace": spec.trace.model_copy(update={
            "rate_per_s": rate_per_s, "speed": None})})
    changed: dict[str, Any] = {"rate_per_s": rate_per_s}
    if isinstance(spec.arrivals, Bursts):
        factor = rate_per_s / spec.arrivals.rate_per_s
        changed["bursts"] = tuple(one.model_copy(update={"rate_per_s": one.rate_per_s * factor})
                                  for one in spec.arrivals.bursts)
    return spec.model_copy(update={"arrivals": spec.arrivals.model_copy(update=changed)})
