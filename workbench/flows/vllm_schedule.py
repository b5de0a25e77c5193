"""The requests of a measured vLLM run as a schedule; who shares which prefix is the workload's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.flows.vllm_run import NS_PER_S, Measured, Served, json_lines, whole
from workbench.runlog.schema import Planned


def schedule_of(run: Measured, workload: Path | None) -> tuple[Planned, ...]:
    """Requests as they were sent; who shares which prefix is the workload's."""
    prefixes = _prefixes(workload, run.served) if workload is not None else [((), 0)] * len(run.served)
    begin_s = min(item.sent_s for item in run.served)
    found = [
        Planned(f"r{i:06d}", round((item.sent_s - begin_s) * NS_PER_S), item.input_tok, item.output_tok,
                prefix_ids=ids, prefix_tok=size)
        for i, (item, (ids, size)) in enumerate(zip(run.served, prefixes, strict=True))
    ]
    return tuple(found)


def _prefixes(workload: Path, served: Sequence[Served]) -> list[tuple[tuple[int, ...], int]]:
    """Block ids of each measured request: by the number in its id, else in order. Lengths must agree."""
    rows = json_lines(workload)
    numbers = [_number(item.request_id) for item in served]
    known = [number for number in numbers if number is not None and number < len(rows)]
    if len(known) < len(served) or len(set(known)) < len(known):
        known = list(range(len(served)))
    if len(rows) < len(served):
        raise UsageError(f"{workload.name}: {len(rows)} requests, but {len(served)} were measured; another workload")
    found = []
    for item, at in zip(served, known, strict=True):
        line, row = rows[at]
        length = whole(workload, line, row, "input_toks")
        if length != item.input_tok:
            raise UsageError(f"{workload.name}: line {line}: input_toks is {length}, request {item.request_id} had "
                             f"{item.input_tok}; it is another workload")
        ids, size = _ids(workload, line, row)
        found.append((ids[: length // size] if size else (), size))  # of whole blocks only
    return found


def _ids(workload: Path, line: int, row: Mapping[str, Any]) -> tuple[tuple[int, ...], int]:
    """`hash_ids_16`: an id per block of 16 tokens; another number, another size."""
    key = next((key for key in row if key.startswith("hash_ids_") and key[9:].isdigit()), None)
    if key is None:
        return (), 0
    ids = row[key]
    if not isinstance(ids, list) or not all(isinstance(value, int) for value in ids):
        raise Failure(f"{workload.name}: line {line}: {key} must be a list of whole numbers")
    return tuple(ids), int(key[9:])


def _number(request_id: str) -> int | None:
    tail = request_id.rsplit("-", 1)[-1]
    return int(tail) if tail.isdigit() else None
