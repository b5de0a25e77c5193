"""What a tier gives. A tenant's own values replace its tier's one by one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

FLAGS = (  # features that a tier has or has not; one that nobody set is off
    "batch", "canary", "degrade", "hedging", "preemptible", "priority_hints", "prefix_sharing", "response_cache",
    "semantic_cache", "streaming",
)
APART = ("shared", "tier", "tenant")  # with whom: everyone who says so, the tier, nobody
PPM = 1_000_000


def remedy(name: str, known: Iterable[str]) -> str:
    """Words for a name that is not known."""
    names = list(known)
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """None: no limit, no promise."""

    weight: int = 1  # share of the fleet while others wait, against theirs
    priority: int = 0  # class without a hint; lower is served first
    best_priority: int | None = None  # a hint may reach this class (None: the class itself) ...
    worst_priority: int | None = None  # ... down to this one
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None  # released at once
    waiting: int | None = None  # in the queue at once
    deadline_ns: int | None = None  # after arrival; the answer is worth nothing later
    ttft_ns: int | None = None  # promised to target_ppm of the requests
    e2e_ns: int | None = None
    target_ppm: int = 990_000
    replicas: str = "shared"  # who may run on the same replica
    cache: str = "tenant"  # who may be answered from the same cached response
    flags: Mapping[str, bool] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for name in _WHOLE:
            value, least = getattr(self, name), 0 if name in _MAY_BE_ZERO else 1
            optional = value is None and name not in ("weight", "priority", "target_ppm")
            if not optional and (value.__class__ is not int or value < least):
                raise ValueError(f"{name}: {value!r} is not a whole number of at least {least}")
        if self.target_ppm > PPM:
            raise ValueError(f"target_ppm: {self.target_ppm} is above {PPM}, which is every request")
        if not self.classes[0] <= self.priority <= self.classes[1]:
            raise ValueError(f"priority: {self.priority} lies outside best_priority {self.classes[0]} to "
                             f"worst_priority {self.classes[1]}")
        for name in ("replicas", "cache"):
            apart = getattr(self, name)
            if apart not in APART:
                raise ValueError(f"{name}: {apart!r} is unknown; {remedy(str(apart), APART)}")
        for flag, on in self.flags.items():
            if flag not in FLAGS:
                raise ValueError(f"flags.{flag}: unknown; {remedy(flag, FLAGS)}")
            if on.__class__ is not bool:
                raise ValueError(f"flags.{flag}: {on!r} is neither true nor false")

    @property
    def classes(self) -> tuple[int, int]:
        """Best and worst class a request of this tier can have."""
        best, worst = self.best_priority, self.worst_priority
        return self.priority if best is None else best, self.priority if worst is None else worst

    def hinted(self, hint: int) -> int:
        """Class of a request that asks to go so many classes later (earlier where negative), within the tier's own."""
        if not self.flags.get("priority_hints", False):
            return self.priority
        best, worst = self.classes
        return min(max(best, self.priority + hint), worst)

    def but(self, own: Mapping[str, Any]) -> "Tier":
        """With some values replaced; flags one by one. ValueError names the key."""
        for key in own:
            if key not in KEYS:
                raise ValueError(f"{key}: unknown key; {remedy(key, KEYS)}")
        flags = own.get("flags", {})
        if not isinstance(flags, Mapping):
            raise ValueError(f"flags: {flags!r} is not a table of flags")
        return replace(self, **{**own, "flags": MappingProxyType({**self.flags, **flags})})


KEYS = tuple(item.name for item in fields(Tier))
_WHOLE = tuple(name for name in KEYS if name not in ("replicas", "cache", "flags"))
_MAY_BE_ZERO = ("priority", "best_priority", "worst_priority", "target_ppm")
