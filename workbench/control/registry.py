"""Policies by name. A new policy is a new class and one line here."""

import importlib
import inspect
from collections.abc import Mapping
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
}


class UnknownPolicy(ValueError):
    """A name or a parameter that no policy has; one line with the remedy."""


def make(kind: str, name: str, parameters: Mapping[str, Any] | None = None) -> Any:
    """A fresh policy of a kind (`queue`, `router`) by name."""
    known = POLICIES[kind]
    if name not in known:
        raise UnknownPolicy(f"{kind} {name!r} is unknown; {_remedy(name, list(known))}")
    module, _, attribute = known[name].partition(":")
    policy = getattr(importlib.import_module(module), attribute)
    allowed = list(inspect.signature(policy).parameters)
    for key in parameters or {}:
        if key not in allowed:
            remedy = _remedy(key, allowed) if allowed else "it has no parameters"
            raise UnknownPolicy(f"{kind} {name!r}: parameter {key!r} is unknown; {remedy}")
    return policy(**(parameters or {}))


def _remedy(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
