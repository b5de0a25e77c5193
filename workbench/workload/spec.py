"""The `[workload]` table: arrivals, lengths, how many, and who asks."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from workbench.config import Settings
from workbench.workload.arrivals import Arrivals, Closed
from workbench.workload.lengths import Lengths, Tok
from workbench.workload.prefix import SharedPrefix, prefix_mark
from workbench.workload.presets import PRESETS
from workbench.workload.sessions import Sessions

MAX_REQUESTS = 10_000_000


class Columns(Settings):
    """Which column of a trace holds what, and in which unit its times are.

    `datetime` is ISO 8601 with up to nine fractional digits; the other units are plain numbers.
    """

    time: str
    prompt_tok: str
    output_tok: str
    unit: Literal["datetime", "s", "ms", "us", "ns"] = "datetime"
    prefix_ids: str | None = None  # a list per row: one id per `prefix_tok` prompt tokens, equal ids, equal prefix
    prefix_tok: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _both(self) -> "Columns":
        if (self.prefix_ids is None) != (self.prefix_tok is None):
            raise ValueError("prefix_ids and prefix_tok go together")
        return self


class TraceSource(Settings):
    """Requests recorded elsewhere: their lengths, pair by pair, and their times unless `arrivals` is given.

    In this order: the part from `start_s` of `take_s` seconds, thinned to `keep_frac`, then times stretched to
    `rate_per_s` (mean rate over the part) or by `speed`. Lengths above the two bounds are cut to them. A `runlog` is a
    run of ours, finished or cut off: who asked and which prompts began alike come with it.
    """

    file: str
    format: Literal["azure", "mooncake", "runlog", "csv", "jsonl"]
    columns: Columns | None = None
    start_s: float = Field(default=0.0, ge=0)
    take_s: float | None = Field(default=None, gt=0)
    keep_frac: float = Field(default=1.0, gt=0, le=1)
    rate_per_s: float | None = Field(default=None, gt=0)
    speed: float | None = Field(default=None, gt=0)
    max_prompt_tok: Tok | None = None
    max_output_tok: Tok | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "TraceSource":
        if (self.columns is None) == (self.format in {"csv", "jsonl"}):
            raise ValueError("columns are given for the formats csv and jsonl, and only there")
        if self.rate_per_s is not None and self.speed is not None:
            raise ValueError("give rate_per_s or speed, not both")
        return self


class Who(Settings):
    """A part of the requests, by `share` of all shares: who asks, at which tier, how urgent (lower first)."""

    tenant: str = Field(default="default", min_length=1)
    tier: str = Field(default="standard", min_length=1)
    share: float = Field(default=1.0, gt=0, le=1e9)
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000)


class WorkloadSpec(Settings):
    """What is asked of the engine. The first `warmup_requests` of the requests count in no metric.

    `requests` or `duration_s` says how much (a trace may leave both out: all of it). Check a mapping with
    `workbench.config.validate(WorkloadSpec, mapping, name)` to get one-line errors. Prompts share nothing unless
    `prefix` or `sessions` say so or the trace has block ids. With `tenants` each of them is a workload of its own, and
    here stand only how many of their requests are taken in all, and how many count as warm-up.
    """

    arrivals: Arrivals | None = None
    lengths: str | None = None  # a preset, in place of the next three
    prompt_tok: Lengths | None = None
    output_tok: Lengths | None = None
    length_corr: float = Field(default=0.0, gt=-1, lt=1)  # of the normal scores of a request's two lengths
    trace: TraceSource | None = None
    prefix: SharedPrefix | None = None
    sessions: Sessions | None = None
    tenants: tuple["NamedWorkload", ...] = Field(default=(), max_length=1000)
    requests: int | None = Field(default=None, ge=1, le=MAX_REQUESTS)
    duration_s: float | None = Field(default=None, gt=0)
    warmup_requests: int = Field(default=0, ge=0)
    tenant: str = "default"
    tier: str = "standard"
    who: tuple[Who, ...] = ()  # several tenants in one workload, in place of tenant and tier

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, raw: Any) -> Any:
        """A preset's lengths are written out, so that a run's provenance holds them."""
        if not isinstance(raw, Mapping) or raw.get("lengths") is None:
            return raw
        found = PRESETS.get(str(raw["lengths"]))
        if found is None:
            raise ValueError(f"lengths: {raw['lengths']!r}: no such preset; known: {', '.join(PRESETS)}")
        twice = [key for key in found if key in raw]
        if twice:
            raise ValueError(f"{twice[0]}: the preset {raw['lengths']!r} says it; leave out one of the two")
        return {key: value for key, value in raw.items() if key != "lengths"} | dict(found)

    @model_validator(mode="after")
    def _one_way_to_say_who(self) -> "WorkloadSpec":
        if self.who and (self.tenant, self.tier) != ("default", "standard"):
            raise ValueError("give who, or tenant and tier, not both")
        if len({(item.tenant, item.tier, item.priority) for item in self.who}) < len(self.who):
            raise ValueError("who: the same tenant, tier and priority twice; give it one share")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> "WorkloadSpec":
        if self.tenants:
            self._only_tenants()
        elif self.trace is None:
            for key in ("arrivals", "prompt_tok", "output_tok"):
                if getattr(self, key) is None:
                    raise ValueError(f"{key} is missing (or give a trace)")
            if (self.requests is None) == (self.duration_s is None):
                raise ValueError("give requests or duration_s, one of the two")
        else:
            if self.prompt_tok is not None or self.output_tok is not None:
                raise ValueError("a trace brings its lengths: leave out prompt_tok and output_tok")
            if self.requests is not None and self.duration_s is not None:
                raise ValueError("give requests or duration_s, not both")
            for key in ("prefix", "sessions"):
                if getattr(self, key) is not None:
                    raise ValueError(f"a trace brings its own requests: leave out {key}")
        if isinstance(self.arrivals, Closed) and self.duration_s is not None:
            raise ValueError("closed arrivals have no times: give requests instead of duration_s")
        if self.requests is not None and self.warmup_requests >= self.requests:
            raise ValueError(f"warmup_requests {self.warmup_requests} leave none of {self.requests} requests to count")
        return self

    def _only_tenants(self) -> None:
        """Everything else is said tenant by tenant; they meet on one clock, so all have times."""
        given = [key for key in self.model_fields_set - {"tenants", "requests", "warmup_requests"}
                 if getattr(self, key) != type(self).model_fields[key].default]
        if given:
            raise ValueError(f"{sorted(given)[0]}: say it in each of the tenants")
        if any(isinstance(item.arrivals, Closed) for item in self.tenants):
            raise ValueError("tenants: closed arrivals have no times; give each arrivals with a rate, or a trace")
        check_names(self.tenants)

    @property
    def is_closed(self) -> bool:
        return isinstance(self.arrivals, Closed)


class NamedWorkload(WorkloadSpec):
    """One workload among several. `name` (default: its tenant's) begins the ids of its requests."""

    name: str = Field(default="", max_length=100, pattern=r"^[A-Za-z0-9_.:@-]*$")

    @model_validator(mode="after")
    def _no_deeper(self) -> "NamedWorkload":
        if self.tenants:
            raise ValueError("tenants: one of several workloads has no tenants of its own")
        return self

    @property
    def title(self) -> str:
        return self.name or self.tenant


def check_names(specs: Sequence[NamedWorkload]) -> None:
    """ValueError where two could not be told apart."""
    names, marks = set[str](), set[int]()
    for spec in specs:
        if spec.title in names or prefix_mark(spec.title) in marks:
            raise ValueError(f"workloads: {spec.title!r} is there already; give one of them a name of its own")
        names.add(spec.title)
        marks.add(prefix_mark(spec.title))


WorkloadSpec.model_rebuild()
