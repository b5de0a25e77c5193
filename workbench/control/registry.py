"""Policies by name. A new policy is a new class and one line here."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

POLICIES: Mapping[str, Mapping[str, str]] = {
    "queue": {
        "fcfs": "workbench.control.queues:Fcfs",
        "shortest_first": "workbench.control.queues:ShortestFirst",
    },
    "router": {
        "least_loaded": "workbench.control.routers:LeastLoaded",
        "round_robin": "workbench.control.routers:RoundRobin",
    },
    "scheduling": {
        "fifo": "workbench.control.scheduling.ordered:Fifo",
        "shortest_first": "workbench.control.scheduling.ordered:ShortestFirst",
        "priority": "workbench.control.scheduling.ordered:StrictPriority",
        "ageing": "workbench.control.scheduling.ordered:Ageing",
        "edf": "workbench.control.scheduling.ordered:EarliestDeadline",
        "wfq": "workbench.control.scheduling.fair:StartTimeFair",
        "vtc": "workbench.control.scheduling.fair:VirtualTokens",
        "drr": "workbench.control.scheduling.deficit:DeficitRoundRobin",
    },
    "routing": {
        "least_loaded": "workbench.control.routers:LeastLoaded",
        "least_outstanding": "workbench.control.routing.least:LeastOutstanding",
        "round_robin": "workbench.control.routing.turns:RoundRobin",
        "weighted": "workbench.control.routing.turns:SmoothWeighted",
        "power_of_choices": "workbench.control.routing.least:PowerOfChoices",
        "session": "workbench.control.routing.affine:SessionAffine",
        "prefix": "workbench.control.routing.affine:PrefixAffine",
        "longest_prefix": "workbench.control.routing.prefixes:LongestPrefix",
        "kv_aware": "workbench.control.routing.prefixes:KvAware",
        "pipeline": "workbench.control.routing.pipeline:Pipeline",
    },
    "meter": {
        "gcra": "workbench.control.limits.gcra:Gcra",
        "fixed_window": "workbench.control.limits.windows:FixedWindow",
        "sliding_log": "workbench.control.limits.sliding_log:SlidingLog",
        "sliding_counter": "workbench.control.limits.windows:SlidingCounter",
    },
    "eviction": {
        "lru": "workbench.control.cache.eviction:Lru",
        "lfu": "workbench.control.cache.eviction:Lfu",
        "tinylfu": "workbench.control.cache.eviction:TinyLfu",
    },
    "autoscaler": {
        "target_tracking": "workbench.control.capacity.target:TargetTracking",
        "thresholds": "workbench.control.capacity.target:Thresholds",
        "queue_based": "workbench.control.capacity.queue:QueueBased",
        "concurrency": "workbench.control.capacity.concurrency:Concurrency",
        "predictive": "workbench.control.capacity.predictive:Predictive",
        "predictive_seasonal": "workbench.control.capacity.predictive:predictive_seasonal",
        "predictive_holt_winters": "workbench.adapters.forecast_holt_winters:predictive_holt_winters",
    },
    "forecaster": {
        "seasonal_naive": "workbench.control.capacity.predictive:SeasonalNaive",
        "holt_winters": "workbench.adapters.forecast_holt_winters:HoltWinters",
    },
    "detector": {
        "cusum": "workbench.control.anomaly.change:Cusum",
        "cusum_seasonal": "workbench.control.anomaly.change:cusum_seasonal",
        "page_hinkley": "workbench.control.anomaly.change:PageHinkley",
        "seasonal_naive": "workbench.control.anomaly.seasonal:SeasonalNaive",
        "river": "workbench.adapters.detect_river:RiverDetector",
    },
    "part": {
        "limits": "workbench.control.limits.levels:Limits",
        "cache": "workbench.control.cache.responses:ResponseCache",
        "models": "workbench.control.models.registry:ModelRegistry",
        "queue": "workbench.control.queueing.manager:QueueManager",
        "breaker": "workbench.control.routing.breaker:CircuitBreaker",
        "retries": "workbench.control.routing.retries:Retries",
        "hedging": "workbench.control.routing.hedging:Hedging",
        "ejection": "workbench.control.routing.health:Ejection",
        "allocator": "workbench.control.resources.allocator:Allocator",
        "quotas": "workbench.control.auth.quotas:Quotas",
        "sla": "workbench.control.scheduling.sla:Attainment",
        "hybrid": "workbench.control.hybrid.part:Hybrid",
    },
}


class UnknownPolicy(ValueError):
    """A name or a parameter that no policy has; one line with the remedy."""


def make(
    kind: str, name: str, parameters: Mapping[str, Any] | None = None, given: Mapping[str, Any] | None = None
) -> Any:
    """A fresh policy of a kind (`queue`, `router`, `scheduling`, ...) by name.

    `given` is what a policy is handed rather than told, such as `randomness`, and nobody may write as a parameter.
    """
    known = POLICIES[kind]
    if name not in known:
        raise UnknownPolicy(f"{kind} {name!r} is unknown; {_remedy(name, list(known))}")
    module, _, attribute = known[name].partition(":")
    policy = getattr(importlib.import_module(module), attribute)
    return made(f"{kind} {name!r}", policy, parameters, given)


def made(
    called: str, policy: Any, parameters: Mapping[str, Any] | None = None, given: Mapping[str, Any] | None = None
) -> Any:
    """An object of this class, with the parameters checked by name; `called` is how errors name it."""
    signature = {key: one for key, one in inspect.signature(policy).parameters.items() if one.kind != one.VAR_KEYWORD}
    open_ = len(signature) < len(inspect.signature(policy).parameters)  # it checks what else it is given itself
    handed = {key: value for key, value in (given or {}).items() if key in signature}
    allowed = [key for key in signature if key not in handed]
    for key in parameters or {}:
        if key not in allowed and not open_:
            remedy = _remedy(key, allowed) if allowed else "it has no parameters"
            raise UnknownPolicy(f"{called}: parameter {key!r} is unknown; {remedy}")
    for key in allowed:
        if signature[key].default is inspect.Parameter.empty and key not in (parameters or {}):
            raise UnknownPolicy(f"{called}: parameter {key!r} is missing")
    return policy(**{**(parameters or {}), **handed})


def known(place: str, facts: Mapping[str, Any], names: Sequence[str]) -> None:
    """UnknownPolicy for a key of a table that is not among these."""
    for name in facts:
        if name not in names:
            raise UnknownPolicy(f"{place}.{name}: unknown; {_remedy(name, list(names))}")


def _remedy(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
