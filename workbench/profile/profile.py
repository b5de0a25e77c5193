"""The profile: how long an engine iteration takes, who says so, and where that was measured. Schema version 1."""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StrictInt

from workbench import config, files
from workbench.config import Settings
from workbench.errors import Failure
from workbench.profile.batch import Batch
from workbench.profile.decode_run import DecodeLine, times_along
from workbench.profile.model import to_ns
from workbench.profile.models import IterationModel
from workbench.profile.ranges import Ranges, explain
from workbench.profile.report import FitReport, GridReport

SCHEMA = 1
KIND = "workbench.profile"
SHIPPED_MAX_BYTES = 20_000  # at most this where it ships; others (tables of kernels) may be larger
Source = Literal["measured", "silicon", "imported", "roofline", "derived"]


class Overhead(Settings):
    """Time that belongs to a request and not to an iteration. One that occupies the engine caps its throughput; one
    that does not (the HTTP path) only delays."""

    name: str
    ns: Annotated[StrictInt, Field(ge=0)]
    occupies_engine: bool


class Subject(Settings):
    """What was profiled. `weights_id` with `kv_type` is the key on which speed joins quality."""

    engine: str = ""
    engine_version: str = ""
    model: str = ""
    quant: str = ""
    kv_type: str = ""
    weights_id: str = ""
    grown_from: str = ""
    hardware: str = ""
    gpu: str = ""
    gpus: Annotated[StrictInt, Field(ge=0)] = 0  # 0: not a matter of GPUs, or not known


class Parallel(Settings):
    """How the model is split over GPUs: by tensor, by layers, whole copies sharing the experts, by experts."""

    tp: Annotated[StrictInt, Field(ge=1)] = 1
    pp: Annotated[StrictInt, Field(ge=1)] = 1
    dp: Annotated[StrictInt, Field(ge=1)] = 1
    ep: Annotated[StrictInt, Field(ge=1)] = 1

    def __str__(self) -> str:
        parts = [f"{name.upper()}{value}" for name, value in self if value > 1 or name == "tp"]
        return " ".join(parts)


class Profile(Settings):
    """Frozen; equal content gives an equal `sha256`. Read with `read`, written with `write`."""

    kind: Literal["workbench.profile"] = "workbench.profile"
    schema_version: Literal[1] = Field(default=1, alias="schema")
    source: Source
    subject: Subject = Subject()
    parallel: Parallel = Parallel()
    model: IterationModel
    ranges: Ranges = Ranges()
    kv_blocks: Annotated[StrictInt, Field(ge=1)] | None = None
    block_tok: Annotated[StrictInt, Field(ge=1)] = 16
    overheads: tuple[Overhead, ...] = ()
    rules: dict[str, Any] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)
    fit_report: FitReport | None = None
    grid_report: GridReport | None = None
    thin: tuple[str, ...] = ()  # where its source knows little: one sentence each, shown with the profile

    def iteration_ns(self, batch: Batch) -> int:
        """Time of one iteration: nearest nanosecond, halves up, at least 1. Answers outside the measured range too,
        by the model's rule; `RangeWatch` counts or refuses such uses."""
        return to_ns(self.model.time_fs(batch))

    def mixed_ns(
        self, prefills: Sequence[tuple[int, int]], decode_n: int, ctx_sum_tok: int, ctx_max_tok: int = 0,
        ctx_min_tok: int = 0,
    ) -> int:
        """As `iteration_ns` of such a batch: one ubatch, nothing drafted."""
        model = self.model
        if model.kind == "kernels":  # not isinstance: of pydantic's classes that alone takes longer than the formula
            return self.iteration_ns(Batch(tuple(prefills), decode_n, ctx_sum_tok, ctx_max_tok, ctx_min_tok))
        return to_ns(model.mixed_fs(prefills, decode_n, ctx_sum_tok))

    def check(self, batch: Batch) -> str | None:
        """Why this batch lies outside the measured range, or None."""
        return explain(self.ranges.outside(batch))

    def lockstep_ns(self, batches: Sequence[Batch]) -> int:
        """One iteration of ranks that run together: the slowest that has work, or what the model says of them all."""
        if self.model.kind == "kernels":
            return self.model.lockstep_ns(batches)
        return max((self.iteration_ns(batch) for batch in batches if batch.prefills or batch.decode_n), default=1)

    def decode_line(
        self, decode_n: int, ctx_sum_tok: int, ctx_max_tok: int = 0, ctx_min_tok: int = 0
    ) -> DecodeLine | None:
        """The next iterations of this batch of decodes, while nobody joins or leaves; None where the model has no such
        formula."""
        return self.model.decode_line(decode_n, ctx_sum_tok, ctx_max_tok, ctx_min_tok)

    def decode_times_ns(
        self, decode_n: int, ctx_sum_tok: int, ctx_max_tok: int, ctx_min_tok: int, k: int
    ) -> NDArray[np.int64]:
        """Shape (k,): as `decode_line`, evaluated; every model has it."""
        model = self.model
        if model.kind == "kernels":
            return model.decode_times_ns(decode_n, ctx_sum_tok, ctx_max_tok, ctx_min_tok, k)
        return times_along(lambda done: model.decode_line(decode_n, ctx_sum_tok + done * decode_n), k)

    @property
    def uses(self) -> frozenset[str]:
        """The fields of Batch that the time depends on."""
        return self.model.uses

    def overhead_ns(self, *names: str) -> int:
        """Sum of the named overheads; one that the profile does not have counts 0."""
        return sum(item.ns for item in self.overheads if item.name in names)

    @cached_property
    def sha256(self) -> str:
        """Of the canonical content: keys sorted, no white space, without what has its default value (so a field that a
        later version adds does not change the hash of an older file)."""
        content = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> str:
        """Readable JSON, small lists on one line."""
        content = self._content()
        return "{\n" + ",\n".join(f" {json.dumps(key)}: {_value(value)}" for key, value in content.items()) + "\n}\n"

    def _content(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)


def _value(value: Any) -> str:
    """One line per entry of an object, compact below that."""
    if isinstance(value, dict) and value:
        inner = (f"  {json.dumps(key)}: {json.dumps(item, ensure_ascii=False)}" for key, item in value.items())
        return "{\n" + ",\n".join(inner) + "\n }"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def from_json(text: str, name: str = "profile") -> Profile:
    """Parse; `name` is how errors call it. A newer schema is refused naming both."""
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise Failure(f"{name}: not valid JSON: {error}") from error
    return _parse(raw, name)


def _parse(raw: Any, name: str) -> Profile:
    if not isinstance(raw, dict) or raw.get("kind") != KIND:
        raise Failure(f"{name}: not a profile (its kind should be {KIND!r}); `workbench profile fit` writes one")
    found = raw.get("schema")
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= SCHEMA:
        raise Failure(f"{name}: profile schema {found!r}; this version reads 1 to {SCHEMA}; upgrade the workbench")
    return config.validate(Profile, raw, name)


def read(path: Path) -> Profile:
    return _parse(files.read_json(path), path.name)


def write(profile: Profile, path: Path) -> Path:
    """Write under its final name, or nothing."""
    files.write_text(path, profile.to_json())
    return path


def write_shipped(profile: Profile, path: Path) -> Path:
    """As `write`, for a file that ships: refused above 20 KB."""
    size = len(profile.to_json().encode())
    if size > SHIPPED_MAX_BYTES:
        raise Failure(f"{path.name}: the profile has {size} bytes, {SHIPPED_MAX_BYTES} at most where it ships; "
                      "shorten its provenance or its tables")
    return write(profile, path)
