"""The four ways in which llama.cpp's benchmarks print, read into rows of text: JSON, JSON lines, CSV and Markdown."""

import csv
import json
import re
from collections.abc import Mapping
from typing import Any

from workbench.errors import UsageError

Row = tuple[str, Mapping[str, str]]  # the place in the file, and values by column
NS_PER_S = 1e9
_TEST = re.compile(r"(?:pp\s*(?P<pp>\d+))?\s*\+?\s*(?:tg\s*(?P<tg>\d+))?\s*(?:@\s*d\s*(?P<d>\d+))?")
# the table of llama-batched-bench: its headings, and what its JSON calls them
_BATCHED = {"PP": "pp", "TG": "tg", "B": "pl", "N_KV": "n_kv", "T_PP s": "t_pp", "T_TG s": "t_tg"}


def rows_of(text: str, file: str) -> list[Row]:
    """Every row; lines that belong to no table (logs printed between) are passed over."""
    head = text.lstrip()[:1]
    if head == "[":
        found = _json(text, file)
    elif any(line.lstrip().startswith("{") for line in text.splitlines()):
        found = _json_lines(text, file)
    elif any(line.startswith("|") for line in text.splitlines()):
        found = _markdown(text, file)
    else:
        found = _csv(text, file)
    if not found:
        raise UsageError(f"{file}: no result in it; give llama-bench's -o json, jsonl, csv or md, or"
                         " llama-batched-bench's table or jsonl")
    return found


def _json(text: str, file: str) -> list[Row]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not valid JSON: {error}; was the benchmark cut off?") from error
    return [_entry(entry, f"{file}: result {number}") for number, entry in enumerate(entries, start=1)]


def _json_lines(text: str, file: str) -> list[Row]:
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.lstrip().startswith("{"):
            continue
        try:
            found.append(_entry(json.loads(line), f"{file}:{number}"))
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{file}:{number}: not valid JSON: {error}; was the benchmark cut off?") from error
    return found


def _entry(entry: Any, place: str) -> Row:
    if not isinstance(entry, dict):
        raise UsageError(f"{place}: not an object; give the output of llama-bench or llama-batched-bench as it is")
    row = {str(key): _text(value) for key, value in entry.items() if not isinstance(value, list | dict)}
    samples = entry.get("samples_ns")
    if isinstance(samples, list):
        row["samples_n"] = str(len(samples))
    return place, _with_depth(row)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _csv(text: str, file: str) -> list[Row]:
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if "n_prompt" in line and "avg_ns" in line), None)
    if start is None:
        return []
    found: list[Row] = []
    header = _fields(lines[start])
    for number, line in enumerate(lines[start + 1:], start=start + 2):
        if not line.strip():
            continue
        row = _fields(line)
        if len(row) != len(header):
            raise UsageError(f"{file}:{number}: {len(row)} fields where the header names {len(header)}; the row is cut"
                             " or has a stray comma: correct it or leave it out")
        found.append((f"{file}:{number}", _with_depth(dict(zip(header, row, strict=True)))))
    return found


def _fields(line: str) -> list[str]:
    """Of one line: the tool prints no line breaks inside a field."""
    return next(csv.reader([line]))


def _markdown(text: str, file: str) -> list[Row]:
    found: list[Row] = []
    header: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if "t/s" in cells or "T_PP s" in cells:
            header = cells
        elif not set(line) <= set("|-: ") and header:
            place = f"{file}:{number}"
            if len(cells) != len(header):
                raise UsageError(f"{place}: {len(cells)} cells where the heading has {len(header)}; the row is cut")
            row = dict(zip(header, cells, strict=True))
            found.append((place, _batched(row) if "T_PP s" in row else _with_depth(_rate(row, place))))
    return found


def _batched(row: dict[str, str]) -> dict[str, str]:
    return {_BATCHED[key]: value for key, value in row.items() if key in _BATCHED}


def _rate(row: dict[str, str], place: str) -> dict[str, str]:
    """Tokens per second and the name of the test become counts and nanoseconds, as the other formats print them."""
    test, rate = _TEST.fullmatch(row.get("test", "")), row["t/s"].split("±")[0].strip()
    tokens = sum(int(test[key] or 0) for key in ("pp", "tg")) if test else 0
    if test is None or not tokens:
        raise UsageError(f"{place}: test: {row.get('test', '')!r} is neither pp, tg nor both; leave the row out")
    if not re.fullmatch(r"\d+(\.\d+)?", rate) or not float(rate):
        raise UsageError(f"{place}: t/s: {rate!r} is no speed above 0; correct it or leave the row out")
    kept = {key: value for key, value in row.items() if key not in ("test", "t/s")}
    return {**kept, "n_prompt": test["pp"] or "0", "n_gen": test["tg"] or "0", "n_depth": test["d"] or "0",
            "avg_ns": str(tokens / float(rate) * NS_PER_S)}


def _with_depth(row: dict[str, str]) -> dict[str, str]:
    """Builds before 2025 have no n_depth: they measured at 0."""
    return row if "n_depth" in row or "n_prompt" not in row else {**row, "n_depth": "0"}
