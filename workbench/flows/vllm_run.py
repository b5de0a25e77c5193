"""A measured vLLM run: its requests on one clock, and the files beside them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench import files
from workbench.errors import Failure, UsageError
from workbench.flows.vllm_limits import Limits, read_limits

NS_PER_S = 1_000_000_000
LATEST_S = 86_400.0  # a queue of more than a day is two clocks, not a queue


@dataclass(frozen=True, slots=True)
class Served:
    """One request as measured, in seconds on the engine's clock."""

    request_id: str
    input_tok: int
    output_tok: int
    queued_s: float  # when the engine took it in
    first_s: float
    last_s: float
    sent_s: float  # when the client sent it, moved to the engine's clock


@dataclass(frozen=True, slots=True)
class Measured:
    """`config` is config.json, `meta` is meta.json; empty where there is none."""

    served: tuple[Served, ...]
    left_out: int
    limits: Limits
    config: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    timeseries: Path | None = None
    left_out_first: str | None = None  # line and reason of the first that is left out


def read_measured(path: Path, asked: Mapping[str, Any] | None = None, *, moe: bool = False) -> Measured:
    """A folder with `config.json` and `vllm/{meta.json,requests.jsonl}`, or a request log (JSON lines) alone.

    `asked` are limits given by hand; they count where the run does not state them.
    """
    folder = path if path.is_dir() else path.parent
    inner = folder / "vllm" if (folder / "vllm").is_dir() else folder
    requests = inner / "requests.jsonl" if path.is_dir() else path
    if not requests.is_file():
        raise UsageError(f"{path}: no such run; name a folder that holds vllm/requests.jsonl, or a request log")
    meta = _object(inner / "meta.json")
    config = _object(folder / "config.json")
    served, left_out = read_requests(requests)
    timeseries = inner / "timeseries.csv"
    return Measured(served, len(left_out), read_limits(config, meta, asked or {}, moe=moe), config, meta,
                    timeseries if timeseries.is_file() else None, next(iter(left_out), None))


def read_requests(path: Path) -> tuple[tuple[Served, ...], list[str]]:
    """The requests that ended well, and of each other one its line and why it is left out. An id counts once.

    `queued_ts`, `first_token_ts` and `last_token_ts` are one clock, `arrival_time` may be another: the fastest
    hand-over shows by how much they differ. Without `queued_ts` a request counts from its `arrival_time`.
    """
    rows: list[tuple[str, int, int, float | None, float, float, float | None]] = []
    left_out: list[str] = []
    lines: dict[str, int] = {}
    for number, row in json_lines(path):
        name = str(row.get("request_id", number))
        if row.get("request_id") is not None and lines.setdefault(name, number) != number:
            raise Failure(f"{path.name}: line {number}: request_id {name!r} is that of line {lines[name]} too; "
                          "each request has one line")
        why = _unusable(row)
        if why:
            left_out.append(f"line {number}: {why}")
            continue
        first_s, last_s = _seconds(path, number, row, "first_token_ts"), _seconds(path, number, row, "last_token_ts")
        queued = None if row.get("queued_ts") is None else _seconds(path, number, row, "queued_ts")
        sent = None if row.get("arrival_time") is None else _seconds(path, number, row, "arrival_time")
        start = queued if queued is not None else sent
        if start is None or not start <= first_s <= last_s or last_s - start > LATEST_S:
            raise Failure(f"{path.name}: line {number}: queued_ts, first_token_ts and last_token_ts are not in order; "
                          "they must be seconds on one clock")
        rows.append((name, whole(path, number, row, "input_toks"),
                     whole(path, number, row, "output_toks"), queued, first_s, last_s, sent))
    if not rows:
        why = f" ({left_out[0]})" if left_out else ""
        raise Failure(f"{path.name}: no request of it has its times{why}; there is nothing to compare")
    offsets = [queued - sent for *_, queued, _, _, sent in rows if queued is not None and sent is not None]
    usable = len(offsets) == len(rows) and max(offsets) - min(offsets) <= LATEST_S
    offset_s = min(offsets) if usable else 0.0
    found = [
        Served(name, inputs, outputs, queued if queued is not None else float(sent or 0.0), first, last,
               sent + offset_s if sent is not None and (usable or queued is None) else float(queued or 0.0))
        for name, inputs, outputs, queued, first, last, sent in rows
    ]
    return tuple(found), left_out


def _unusable(row: Mapping[str, Any]) -> str | None:
    if row.get("error"):
        return f"its error is {str(row['error']).splitlines()[0][:80]!r}"
    return next((f"it has no {key}" for key in ("first_token_ts", "last_token_ts") if row.get(key) is None), None)


def json_lines(path: Path) -> Sequence[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line."""
    found: list[tuple[int, dict[str, Any]]] = []
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path.name}: cannot be read as text: {error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise Failure(f"{path.name}: line {number}: not valid JSON: {error}") from None
        if not isinstance(row, dict):
            raise Failure(f"{path.name}: line {number}: not a JSON object")
        found.append((number, row))
    return found


def whole(path: Path, line: int, row: Mapping[str, Any], key: str) -> int:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Failure(f"{path.name}: line {line}: {key} is {value!r}; it must be a whole number of at least 1")
    return value


def _seconds(path: Path, line: int, row: Mapping[str, Any], key: str) -> float:
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
        raise Failure(f"{path.name}: line {line}: {key} is {value!r}; it must be a time in seconds")
    return float(value)


def _object(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    found = files.read_json(path)
    if not isinstance(found, dict):
        raise Failure(f"{path.name}: not a JSON object")
    return found
