"""The scenario file: a workload, a fleet, policies by name, a horizon, seeds, and what counts as good."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from sims.rules import Rules, from_facts, names
from workbench.config import Settings
from workbench.control.registry import make
from workbench.errors import UsageError
from workbench.hardware.prices import NOT_OFFERED_USD
from workbench.metrics import Slo
from workbench.profile.profile import Profile
from workbench.workload.arrivals import Closed
from workbench.workload.spec import WorkloadSpec

Seconds = Annotated[float, Field(gt=0)]


class SloSpec(Settings):
    """What a request of a tier must meet; a part left out is free."""

    ttft_s: Seconds | None = None
    tpot_s: Seconds | None = None
    e2e_s: Seconds | None = None

    def as_slo(self) -> Slo:
        return Slo(self.ttft_s, self.tpot_s, self.e2e_s)


class FleetSpec(Settings):
    """Equal replicas of one profile. `price_usd_per_hour` is that of one replica with its GPUs.

    `rules` override what the profile says of the engine's batching, such as `slots` or `n_batch`. Tensor and pipeline
    parallelism are the profile's. `outside_range` says what to do where the profile was not measured.
    """

    profile: str
    replicas: int = Field(default=1, ge=1)
    gpus: int = Field(default=0, ge=0)  # per replica, for the report; the profile already knows their speed
    price_usd_per_hour: float | None = None
    rules: dict[str, Any] = Field(default_factory=dict)
    outside_range: Literal["count", "refuse"] = "count"

    @field_validator("price_usd_per_hour")
    @classmethod
    def _a_price(cls, value: float | None) -> float | None:
        if value is not None and value <= 0:
            raise ValueError("a price is above 0; without a price leave the key out")
        if value == NOT_OFFERED_USD:
            raise ValueError("700.0 means 'not offered' in SkyPilot's catalogs, it is no price; leave the key out")
        return value


class PolicyChoice(Settings):
    """A policy by name, with its parameters; a bare string is a name without parameters."""

    name: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class Policies(Settings):
    """Who is served next, where, and how many requests a replica holds at most (`window`; without: no limit)."""

    queue: PolicyChoice = PolicyChoice(name="fcfs")
    router: PolicyChoice = PolicyChoice(name="least_loaded")
    window: int | None = Field(default=None, ge=1)

    @field_validator("queue", "router", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _known(self) -> "Policies":
        for kind, chosen in (("queue", self.queue), ("router", self.router)):
            make(kind, chosen.name, chosen.parameters)
        return self


class Scenario(Settings):
    """`workbench sim run` reads this. One run per seed; `concurrency` goes with closed arrivals.

    `mode` iteration computes every iteration on its own; macro jumps over those in which nothing is decided and gives
    the same times. Replications are runs with other seeds: the `seeds` as given, or `replications` of them from the
    first seed on.
    """

    title: str = ""
    workload: WorkloadSpec
    fleet: FleetSpec
    policies: Policies = Policies()
    slo: dict[str, SloSpec] = Field(default_factory=dict)  # by tier; "*" is every other tier
    horizon_s: Seconds | None = None
    concurrency: int | None = Field(default=None, ge=1)
    seeds: tuple[int, ...] = Field(default=(1,), min_length=1)
    replications: int | None = Field(default=None, ge=1)
    mode: Literal["macro", "iteration"] = "macro"

    @model_validator(mode="after")
    def _consistent(self) -> "Scenario":
        closed = isinstance(self.workload.arrivals, Closed)
        if closed != (self.concurrency is not None):
            raise ValueError("concurrency is given with closed arrivals, and only there")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("the same seed twice is the same run twice; seeds differ")
        if any(seed < 0 for seed in self.seeds):
            raise ValueError("a seed is at least 0")
        if self.replications is not None and len(self.seeds) > 1:
            raise ValueError("give seeds or replications, not both")
        return self

    def replicated(self, n: int | None = None) -> tuple[int, ...]:
        """The seeds of `n` replications (default: as many as the scenario says): its own first, then new ones."""
        n = n or self.replications or len(self.seeds)
        fresh = range(max(self.seeds) + 1, max(self.seeds) + 1 + n)
        return (*self.seeds, *fresh)[:n]

    @property
    def slo_by_tier(self) -> dict[str, Slo]:
        return {tier: spec.as_slo() for tier, spec in self.slo.items()}


def rules_for(profile: Profile, overrides: Mapping[str, Any], key: str = "fleet.rules") -> Rules:
    """The engine's batching as the profile states it (KV capacity included), with overrides from `key`."""
    stated = {"kv_blocks": profile.kv_blocks, "block_tok": profile.block_tok} | profile.rules
    facts = {**stated, **overrides}
    _known(overrides, names(facts), key)
    for pool in ("prefill", "decode"):  # of a disaggregated engine: each a table of its own
        inside = overrides.get(pool, {})
        if not isinstance(inside, Mapping):
            raise UsageError(f"{key}.{pool}: {inside!r}: write a table of rules, such as {{ max_num_seqs = 64 }}")
        _known(inside, names({"engine": "vllm"}), f"{key}.{pool}")
    try:
        return from_facts(facts)
    except TypeError as error:  # a text where a number belongs
        raise UsageError(f"{key}: a value of the wrong kind: {error}") from None


def _known(given: Mapping[str, Any], known: Iterable[str], key: str) -> None:
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise UsageError(f"{key}.{unknown[0]}: unknown here; known: {', '.join(sorted(known))}")
