"""SWEEP.toml: which engines in which settings, under which workloads, at which load."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from workbench.config import Settings, validate
from workbench.errors import UsageError
from workbench.workload.rated import at_rate
from workbench.workload.spec import WorkloadSpec

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_POINTS = 10_000
SHAPES = ("poisson", "gamma", "fixed", "diurnal", "hourly")  # bursts have rates of their own: in the workload


class EngineGrid(Settings):
    """One engine; its lists are crossed with each other. Several tables are put side by side, not crossed."""

    name: str
    model: tuple[str, ...] = ("",)
    quant: tuple[str, ...] = ("",)
    gpus: tuple[int, ...] = (0,)  # above 1 the engine is asked for `tp` of as many, unless options say otherwise
    options: tuple[dict[str, Any], ...] = Field(default=({},), min_length=1)
    workload: tuple[str, ...] = ()  # names of those that it is measured under; empty is all
    timeout_s: float = Field(default=600.0, gt=0)  # of one request
    start_timeout_s: float | None = Field(default=None, gt=0)

    @field_validator("model", "quant", "gpus")
    @classmethod
    def _some(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError("must hold at least one value, and none twice")
        return value

    @field_validator("gpus")
    @classmethod
    def _counts(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 0 <= count <= 1024 for count in value):
            raise ValueError("a number of GPUs is 0 to 1024")
        return value


class SloSpec(Settings):
    """What a request must meet. At least one part is given."""

    ttft_s: float | None = Field(default=None, gt=0)
    tpot_s: float | None = Field(default=None, gt=0)
    e2e_s: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.ttft_s is None and self.tpot_s is None and self.e2e_s is None:
            raise ValueError("slo: nothing is demanded; give ttft_s, tpot_s or e2e_s")
        return self


class SearchSpec(Settings):
    """The highest rate that meets the SLO: doubling from `from_rate_per_s`, then bisection to within `within_frac`."""

    slo: SloSpec
    target_frac: float = Field(default=0.95, gt=0, le=1)  # of the requests must meet the SLO
    from_rate_per_s: float = Field(default=1.0, gt=0)
    most_rate_per_s: float = Field(default=1024.0, gt=0)
    within_frac: float = Field(default=0.1, gt=0, lt=1)
    repeats: int = Field(default=3, ge=1, le=20)  # at most, at a rate where fewer do not decide

    @model_validator(mode="after")
    def _room(self) -> Self:
        if self.from_rate_per_s > self.most_rate_per_s:
            raise ValueError("from_rate_per_s is above most_rate_per_s")
        return self


class LoadSpec(Settings):
    """One of: rates (open loop), concurrencies (closed loop), a search for the highest rate."""

    rate_per_s: tuple[float, ...] = ()
    concurrency: tuple[int, ...] = ()
    search: SearchSpec | None = None
    arrivals: dict[str, Any] = Field(default_factory=lambda: {"kind": "poisson"})  # of workloads that say none
    stop_over_saturation: bool = True  # a rate at which answers pile up beyond saving is cut short and labelled
    skip_above_saturated: bool = False  # rates above one at which they did are labelled and not tried

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [bool(self.rate_per_s), bool(self.concurrency), self.search is not None]
        if sum(given) != 1:
            raise ValueError("load: give rate_per_s, concurrency or search, one of the three")
        for values in (self.rate_per_s, self.concurrency):
            if any(value <= 0 for value in values) or len(set(values)) < len(values):
                raise ValueError("load: values must be above 0, and none twice")
        if "rate_per_s" in self.arrivals or self.arrivals.get("kind") not in SHAPES:
            raise ValueError(f"load: arrivals are of a kind with a rate ({', '.join(SHAPES)}), and it is left out here")
        return self


class Decide(Settings):
    """Repeat points where they decide: the best of a comparison, and all that cannot be told apart from it."""

    metric: Literal["output_tok_per_s", "ttft_s", "tpot_s", "e2e_s", "goodput_rps", "usd_per_million_tok"]
    repeats: int = Field(default=5, ge=2, le=50)  # at most, of one point


class Price(Settings):
    """What the machine costs, and where it is: given, never guessed."""

    usd_per_hour: float | None = Field(default=None, ge=0)
    provider: str = ""
    region: str = ""


class SweepSpec(Settings):
    """The whole file."""

    name: str
    seed: int = Field(default=0, ge=0)
    repeats: int = Field(default=1, ge=1, le=100)
    workers: int = Field(default=1, ge=1, le=64)
    max_point_s: float = Field(default=1800.0, gt=0)  # a point that takes longer is stopped and labelled
    telemetry_interval_s: float = Field(default=0.2, ge=0.02, le=60)
    engine: tuple[EngineGrid, ...] = Field(min_length=1)
    workload: tuple[dict[str, Any], ...] = Field(min_length=1)  # [workload] of a bench file, with a name
    load: LoadSpec
    decide: Decide | None = None
    price: Price = Field(default_factory=Price)

    @field_validator("name")
    @classmethod
    def _plain(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("letters, digits, dot, dash and underscore only, at most 64")
        return value

    @model_validator(mode="after")
    def _workloads(self) -> Self:
        names = [table.get("name") for table in self.workload]
        if not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names) or len(set(names)) < len(names):
            raise ValueError("workload: each needs a name of its own (letters, digits, dot, dash, underscore)")
        if any(table.get("arrivals") == {"kind": "closed"} for table in self.workload):
            raise ValueError("workload: [load] says how many are in flight at once: leave out arrivals")
        for grid in self.engine:
            unknown = sorted(set(grid.workload) - set(names))
            if unknown:
                raise ValueError(f"engine {grid.name}: workload {unknown[0]!r}: there are {', '.join(map(str, names))}")
        return self

    def check_workloads(self, file: str) -> None:
        """One-line errors for what is inside the workload tables."""
        for table in self.workload:
            self.drawn_from(str(table["name"]), 1.0 if not self.load.concurrency else None, file)

    def drawn_from(self, name: str, rate_per_s: float | None, file: str = "sweep") -> WorkloadSpec:
        """The workload called `name` at a rate; None is the closed loop."""
        table = next(table for table in self.workload if table["name"] == name)
        own, where = {key: value for key, value in table.items() if key != "name"}, f"{file}: workload {name}"
        if rate_per_s is None:
            return validate(WorkloadSpec, own | {"arrivals": {"kind": "closed"}}, where)
        shaped = own.get("arrivals", {})
        if not isinstance(shaped, Mapping):
            raise UsageError(f"{where}: arrivals: {shaped!r}: write a table, such as {{ kind = \"diurnal\", ... }}")
        if "tenants" not in own and not shaped:
            own |= {"arrivals": {**self.load.arrivals, "rate_per_s": rate_per_s}}
        if shaped.get("kind") == "trace":  # as recorded, stretched
            own = {key: value for key, value in own.items() if key != "arrivals"}
        return at_rate(validate(WorkloadSpec, own, where), rate_per_s)
