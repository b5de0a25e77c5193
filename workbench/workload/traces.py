"""Traces of real services: arrival times and lengths, exact to the nanosecond."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import ConfigError, UsageError
from workbench.workload.lengths import whole
from workbench.workload.prefix import Ids
from workbench.workload.spec import Columns

Ints = NDArray[np.int64]
# Azure/AzurePublicDataset, AzureLLMInferenceTrace_*.csv: UTC with seven fractional digits
AZURE = Columns(time="TIMESTAMP", prompt_tok="ContextTokens", output_tok="GeneratedTokens", unit="datetime")
# kvcache-ai/Mooncake: milliseconds since the trace's start, ids of 512-token blocks
MOONCAKE = Columns(time="timestamp", prompt_tok="input_length", output_tok="output_length", unit="ms",
                   prefix_ids="hash_ids", prefix_tok=512)
NS_PER = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


@dataclass(frozen=True)
class Trace:
    """Requests in order of arrival; `arrival_ns` counts from the beginning of the trace (or of the part taken)."""

    arrival_ns: Ints
    prompt_tok: Ints
    output_tok: Ints
    prefix_ids: tuple[Ids, ...] = ()  # one entry a request, or none at all
    prefix_tok: int = 0
    who: tuple[tuple[str, str], ...] = ()  # tenant and tier of each request, or none at all

    def __len__(self) -> int:
        return len(self.arrival_ns)

    @property
    def rate_per_s(self) -> float:
        """Mean rate: intervals over the time between first and last arrival."""
        span_ns = int(self.arrival_ns[-1] - self.arrival_ns[0]) if len(self) else 0
        if span_ns <= 0:
            raise UsageError("this part of the trace has no two different arrival times, so it has no rate")
        return (len(self) - 1) * 1e9 / span_ns

    def part(self, start_s: float, take_s: float | None = None) -> "Trace":
        """Arrivals in [start, start + take), their clock starting at `start`."""
        low = round(start_s * 1e9)
        high = low + round(take_s * 1e9) if take_s is not None else np.iinfo(np.int64).max
        kept = self._where((self.arrival_ns >= low) & (self.arrival_ns < high))
        return replace(kept, arrival_ns=kept.arrival_ns - low)

    def thin(self, keep_frac: float, seed: int) -> "Trace":
        """Keep each request with this probability; with one seed a thinner trace is a part of a thicker one."""
        uniform = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,))).random(len(self))
        return self._where(uniform < keep_frac)

    def faster(self, speed: float) -> "Trace":
        """The same requests `speed` times as fast (0.5: half the rate)."""
        return replace(self, arrival_ns=np.rint(self.arrival_ns / speed).astype(np.int64))

    def at_rate(self, rate_per_s: float) -> "Trace":
        """Times stretched so that the mean rate is this one; burstiness stays."""
        return self.faster(rate_per_s / self.rate_per_s)

    def cut(self, max_prompt_tok: int | None, max_output_tok: int | None) -> "Trace":
        """Lengths above a bound become the bound."""
        prompts = self.prompt_tok if max_prompt_tok is None else np.minimum(self.prompt_tok, max_prompt_tok)
        return replace(
            self, prompt_tok=prompts, prefix_ids=whole_blocks(self.prefix_ids, self.prefix_tok, prompts),
            output_tok=self.output_tok if max_output_tok is None else np.minimum(self.output_tok, max_output_tok),
        )

    def first(self, requests: int) -> "Trace":
        return self._where(np.arange(len(self)) < requests)

    def _where(self, mask: NDArray[np.bool_]) -> "Trace":
        return self._at(np.flatnonzero(mask))

    def _at(self, index: Ints) -> "Trace":
        ids = tuple(self.prefix_ids[i] for i in index.tolist()) if self.prefix_ids else ()
        who = tuple(self.who[i] for i in index.tolist()) if self.who else ()
        return replace(self, arrival_ns=self.arrival_ns[index], prompt_tok=self.prompt_tok[index],
                       output_tok=self.output_tok[index], prefix_ids=ids, who=who)


def whole_blocks(ids: Sequence[Ids], block_tok: int, prompt_tok: Ints) -> tuple[Ids, ...]:
    """Only ids of blocks that the prompt fills: the last one of a trace may stand for a part."""
    return tuple(own[: tok // block_tok] for own, tok in zip(ids, prompt_tok.tolist(), strict=bool(ids)))


def read_csv(path: Path, columns: Columns = AZURE) -> Trace:
    """Any CSV with a header line; the default map is Azure's."""
    return _collect(path, columns, _csv_rows)


def read_jsonl(path: Path, columns: Columns = MOONCAKE) -> Trace:
    """Any file of one JSON object a line; the default map is Mooncake's. Other fields are left out."""
    return _collect(path, columns, _json_rows)


Rows = Iterator[tuple[int, Mapping[str, Any]]]


def _collect(path: Path, columns: Columns, reader: Callable[[Path, Columns], Rows]) -> Trace:
    times, prompts, outputs = [], [], []
    ids: list[Ids] = []
    try:
        for line, row in reader(path, columns):
            times.append(_time_ns(row[columns.time], columns, path.name, line))
            prompts.append(whole(row[columns.prompt_tok], path.name, line, columns.prompt_tok))
            outputs.append(whole(row[columns.output_tok], path.name, line, columns.output_tok))
            if columns.prefix_ids is not None:
                ids.append(_ids(row.get(columns.prefix_ids), path.name, line, columns.prefix_ids))
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such trace") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path.name}: not a text file of rows: {error}") from error
    if not times:
        raise UsageError(f"{path.name}: no requests in it")
    start = min(times)  # Python integers: nanoseconds since 1970 exceed what a float holds
    arrival = np.asarray([time - start for time in times], dtype=np.int64)
    prompt_tok = np.asarray(prompts, np.int64)
    found = Trace(arrival, prompt_tok, np.asarray(outputs, np.int64),
                  whole_blocks(ids, columns.prefix_tok or 1, prompt_tok), columns.prefix_tok or 0)
    return found._at(np.argsort(arrival, kind="stable"))


def _ids(value: Any, file: str, line: int, key: str) -> Ids:
    """A JSON list of whole numbers; absent is none."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, int) and not isinstance(item, bool) for item in value):
        raise ConfigError(file, f"line {line}: {key}", f"{str(value)[:40]!r} is no list of whole numbers")
    return tuple(value)


def _csv_rows(path: Path, columns: Columns) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        rows = csv.DictReader(handle)
        for name in (columns.time, columns.prompt_tok, columns.output_tok):
            if name not in (rows.fieldnames or ()):
                raise ConfigError(path.name, name, "no such column", f"columns: {', '.join(rows.fieldnames or ())}")
        for row in rows:
            yield rows.line_num, row


def _json_rows(path: Path, columns: Columns) -> Rows:
    with path.open(encoding="utf-8") as handle:
        for line, text in enumerate(handle, start=1):
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except ValueError as error:
                raise ConfigError(path.name, f"line {line}", f"not valid JSON: {error}") from error
            for name in (columns.time, columns.prompt_tok, columns.output_tok):
                if not isinstance(row, dict) or name not in row:
                    raise ConfigError(path.name, f"line {line}: {name}", "no such field")
            yield line, row


_ISO = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?")


def _time_ns(value: Any, columns: Columns, file: str, line: int) -> int:
    """Nanoseconds since the column's own zero, exact: datetime's microseconds would cut Azure's seventh digit."""
    text = str(value).strip() if value is not None else ""
    try:
        if columns.unit == "datetime":
            found = _ISO.fullmatch(text)
            if found is None:
                raise ValueError
            whole_s = datetime.fromisoformat(found[1] + (found[3] or "").replace("Z", "+00:00"))
            moment = whole_s if whole_s.tzinfo else whole_s.replace(tzinfo=UTC)
            return int(moment.timestamp()) * 10**9 + int((found[2] or "0").ljust(9, "0"))
        time_ns = Decimal(text) * NS_PER[columns.unit]
        if isinstance(value, bool) or not time_ns.is_finite() or abs(time_ns) >= 2**62:
            raise ValueError
        return int(time_ns.to_integral_value())
    except (ValueError, InvalidOperation) as error:
        problem = f"{text[:40]!r} is not a time ({columns.unit})"
        raise ConfigError(file, f"line {line}: {columns.time}", problem) from error
