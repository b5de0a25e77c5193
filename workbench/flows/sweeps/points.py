"""From the grid to its points, in the order in which most is learnt per minute."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any, TypeVar

from workbench.errors import UsageError
from workbench.flows.sweeps.spec import MAX_POINTS, EngineGrid, SweepSpec

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """One engine in one setting: what has to be loaded anew when it changes."""

    engine: str
    model: str
    quant: str
    gpus: int
    options: dict[str, Any] = field(hash=False)
    timeout_s: float = field(default=600.0, compare=False)
    start_timeout_s: float | None = field(default=None, compare=False)

    @property
    def asked(self) -> dict[str, Any]:
        """Options as the engine is asked for them: so many GPUs share its layers where nothing else is said."""
        spread = {"tp", "pp", "dp"} & self.options.keys()
        return {"tp": self.gpus, **self.options} if self.gpus > 1 and not spread else dict(self.options)

    @property
    def key(self) -> str:
        return digest({"engine": self.engine, "model": self.model, "quant": self.quant, "gpus": self.gpus,
                       "options": self.options})[:10]

    @property
    def label(self) -> str:
        """For people: short, and not always unique."""
        parts = [self.engine, self.model.rpartition("/")[2], self.quant, f"{self.gpus}gpu" if self.gpus else ""]
        parts += [f"{name}={value}" for name, value in sorted(self.options.items())]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement. `rate_per_s` is the open loop, `concurrency` the closed one."""

    setting: Setting
    workload: str
    rate_per_s: float | None
    concurrency: int | None
    repeat: int
    seed: int
    searched: bool = False  # a rate that the search chose

    @property
    def load(self) -> float:
        return self.rate_per_s if self.rate_per_s is not None else float(self.concurrency or 0)

    @property
    def group(self) -> tuple[str, str, float]:
        """Equal for repeats of one and the same measurement."""
        return self.setting.key, self.workload, self.load

    def as_dict(self) -> dict[str, Any]:
        return {"setting": asdict(self.setting), "workload": self.workload, "rate_per_s": self.rate_per_s,
                "concurrency": self.concurrency, "repeat": self.repeat, "seed": self.seed, "searched": self.searched}

    @staticmethod
    def from_dict(raw: dict[str, Any]) -> "Point":
        return Point(**(raw | {"setting": Setting(**raw["setting"])}))

    @property
    def id(self) -> str:
        """Name of its folder: readable at its beginning, decided by what is asked alone."""
        words = (self.setting.engine, self.setting.model.rpartition("/")[2], self.setting.quant, self.workload)
        stem = "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", word)[:20] for word in words if word)
        load = f"r{self.rate_per_s:.5g}" if self.rate_per_s is not None else f"c{self.concurrency}"
        asked = [self.setting.key, self.workload, self.rate_per_s, self.concurrency, self.repeat, self.seed]
        return f"{stem}-{load}-{self.repeat}-{digest(asked)[:10]}"


def digest(value: Any) -> str:
    """sha256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def coarse_to_fine(values: Sequence[T]) -> list[T]:
    """The two ends, then the middles of the gaps, widest first: each value halves what is not known."""
    n = len(values)
    if n < 3:
        return list(values)
    order, gaps = [0, n - 1], [(0, n - 1)]
    while gaps:
        gaps.sort(key=lambda gap: (gap[0] - gap[1], gap[0]))
        low, high = gaps.pop(0)
        if high - low > 1:
            middle = (low + high) // 2
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return [values[i] for i in order]


def cases(spec: SweepSpec) -> list[tuple[Setting, tuple[str, ...]]]:
    """Settings with the workloads that each is measured under, in the order of the file; what takes longest to change
    outermost."""
    every = [str(table["name"]) for table in spec.workload]
    found = [(one, tuple(name for name in every if name in (grid.workload or every)))
             for grid in spec.engine for one in _of(grid)]
    if len({setting.key for setting, _ in found}) < len(found):
        raise UsageError("engine: the same engine, model, quant, gpus and options twice; leave one out")
    return found


def _of(grid: EngineGrid) -> Iterator[Setting]:
    for model, quant, gpus, options in product(grid.model, grid.quant, grid.gpus, grid.options):
        yield Setting(grid.name, model, quant, gpus, options, grid.timeout_s, grid.start_timeout_s)


def points(spec: SweepSpec) -> list[Point]:
    """All points that are known beforehand. A search adds its own as it goes (`search.next_points`)."""
    loads: list[tuple[float | None, int | None]] = [(rate, None) for rate in sorted(spec.load.rate_per_s)]
    loads += [(None, concurrency) for concurrency in sorted(spec.load.concurrency)]
    found = [
        Point(setting, workload, rate, concurrency, repeat, spec.seed + repeat)
        for setting, workloads in cases(spec) for repeat in range(spec.repeats)
        for rate, concurrency in coarse_to_fine(loads) for workload in workloads
    ]
    if len(found) > MAX_POINTS:
        raise UsageError(f"the grid has {len(found)} points; at most {MAX_POINTS}")
    return found
