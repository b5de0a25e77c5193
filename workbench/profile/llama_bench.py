"""Profiles from llama.cpp's own benchmarks: how Apple, AMD and CPUs come in.

`llama-bench` (-o json, jsonl, csv or md) times one prompt, one sequence, or both; `llama-batched-bench` (its table, or
--output-format jsonl) several sequences at once. Several files of one set-up may be given together. Neither counts
tokenising, sampling or HTTP.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.hardware.table import Line
from workbench.profile.imported import Origin, opened
from workbench.profile.llama_bench_text import rows_of
from workbench.profile.points import DecodePoint, Fitted, PromptPoint, fit, near
from workbench.profile.profile import Profile, Subject

BATCHED = "pl"  # the column that only llama-batched-bench has
NS_PER_S = 1e9
# what makes two rows incomparable, where a format says it
SETUP = ("model_filename", "model_type", "model", "backends", "backend", "gpu_info", "cpu_info", "devices", "type_k",
         "type_v", "n_gpu_layers", "ngl", "n_threads", "threads", "n_batch", "n_ubatch", "flash_attn", "fa",
         "split_mode", "main_gpu", "tensor_split", "no_kv_offload", "is_pp_shared")


def load(paths: Sequence[Path], *, where: Mapping[str, str] | None = None, model: str = "", quant: str = "",
         hardware: str = "") -> Profile:
    """Of one set-up: `where` chooses rows (`n_threads=8`) where a file holds several; the rest names what it lacks."""
    where = where or {}
    origins: list[Origin] = []
    chosen: list[tuple[Origin, Line, Mapping[str, str]]] = []
    for path in paths:
        text, origin = opened(path)
        rows = rows_of(text, path.name)
        for place, row in rows:
            if all(row.get(key) == value for key, value in where.items() if key in row):
                chosen.append((origin, Line(place, row), row))
            else:
                origin.leave_out("not chosen by --where")
        origins.append(origin)
    files = ", ".join(item.file for item in origins)
    _one_setup([row for _, _, row in chosen], where, files)
    points = Points()
    for origin, line, row in chosen:
        origin.rows += 1
        (_batched if BATCHED in row else _single)(line, row, points)
    fitted = fit(points.prompts, points.decodes, files)
    facts: dict[str, str] = {}
    for _, _, row in chosen:
        facts |= {key: _name(value) for key, value in row.items() if key in (*SETUP, *_SHOWN) and value}
    whole = [(ns, _whole(fitted, p, d)) for p, d, ns in points.both]
    checks = {"prompt_then_decode": near(whole)} if whole else {}
    return Profile(
        source="imported", subject=_subject(facts, model, quant, hardware), model=fitted.grid, ranges=fitted.ranges,
        rules=_rules(facts, points.decodes), thin=(*fitted.thin, "prompts beside decodes were not measured"),
        provenance={"imported": {
            "dataset": "llama-bench or llama-batched-bench output", "files": [item.as_json() for item in origins],
            "setup": facts, "reproduces": fitted.reproduces, "held_out": checks,
        }},
    )


_SHOWN = ("build_commit", "build_number", "model_size", "model_n_params", "size", "params", "test_time")


@dataclass(slots=True)
class Points:
    """What the rows measured; `both` are prompts followed by tokens, with the time of the two together in ns."""

    prompts: list[PromptPoint] = field(default_factory=list)
    decodes: list[DecodePoint] = field(default_factory=list)
    both: list[tuple[PromptPoint, DecodePoint, float]] = field(default_factory=list)


def _single(line: Line, row: Mapping[str, str], points: Points) -> None:
    """One row of llama-bench: pp (a prompt), tg (one sequence), or pg (one after the other: kept as a check)."""
    new, made, past = (line.whole(key, 0) for key in ("n_prompt", "n_gen", "n_depth"))
    total_ns = line.positive("avg_ns")
    n = max(1, line.whole("samples_n", 0)) if "samples_n" in row else 1
    if new and made:
        parts = PromptPoint(1, new, past, 0.0), DecodePoint(1, past + new, past + new + made, 0.0)
        points.both.append((*parts, total_ns))
    elif new:
        points.prompts.append(PromptPoint(1, new, past, total_ns, n))
    elif made:
        points.decodes.append(DecodePoint(1, past, past + made, total_ns / made, n))
    else:
        raise line.error("n_prompt", "and n_gen are both 0: nothing was measured; leave the row out")


def _batched(line: Line, row: Mapping[str, str], points: Points) -> None:
    """One row of llama-batched-bench: B prompts (one, where it is shared), then B sequences together."""
    new, made, sequences = line.whole("pp", 0), line.whole("tg", 0), line.whole("pl")
    if new:
        pieces = 1 if row.get("is_pp_shared", "0") not in ("0", "false", "False") else sequences
        points.prompts.append(PromptPoint(pieces, new, 0, line.positive("t_pp") * NS_PER_S))
    if made:
        each_ns = line.positive("t_tg") * NS_PER_S / made
        points.decodes.append(DecodePoint(sequences, new, new + made, each_ns))


def _whole(fitted: Fitted, prompt: PromptPoint, decode: DecodePoint) -> int:
    made = decode.high_tok - decode.low_tok
    return fitted.grid.time_fs(prompt.batch) + made * fitted.grid.time_fs(decode.batch)


def _one_setup(rows: list[Mapping[str, str]], where: Mapping[str, str], files: str) -> None:
    """Rows of different set-ups never mix; what the two benchmarks name differently is compared within each."""
    if not rows:
        asked = ", ".join(f"{key}={value}" for key, value in where.items())
        raise UsageError(f"{files}: no row matches {asked}; leave --where out to see what there is")
    unknown = [key for key in where if not any(key in row for row in rows)]
    if unknown:
        raise UsageError(f"{files}: --where {unknown[0]}: no such column; there are {', '.join(rows[0])}")
    for kind in (True, False):
        found = [row for row in rows if (BATCHED in row) is kind]
        for key in SETUP:
            values = dict.fromkeys(row.get(key, "") for row in found)
            if len(values) > 1:
                first = next(iter(values))
                raise UsageError(f"{files}: {len(values)} set-ups in one import: {key} is {' | '.join(values)}; choose"
                                 f" one with --where {key}={first!r}")


def _name(value: str) -> str:
    """A file without its folders: those are of somebody's machine."""
    return re.split(r"[/\\]", value)[-1] if value.endswith(".gguf") else value


def _subject(facts: Mapping[str, str], model: str, quant: str, hardware: str) -> Subject:
    kind = facts.get("model_type", facts.get("model", ""))
    name = facts.get("model_filename", "").removesuffix(".gguf")
    found = re.search(r"\b(I?Q\d\w*|TQ\d_\d|B?F16|F32)(?: - (Small|Medium|Large))?", kind)
    guess = found[1] + (f"_{found[2][0]}" if found[2] else "") if found else ""
    machine = facts.get("gpu_info") or facts.get("cpu_info") or facts.get("backends") or facts.get("backend", "")
    return Subject(
        engine="llama.cpp", engine_version=facts.get("build_number", ""), model=model or name or kind,
        quant=quant or guess, kv_type=facts.get("type_k", ""), hardware=hardware or machine,
    )


def _rules(facts: Mapping[str, str], decodes: list[DecodePoint]) -> dict[str, Any]:
    """The server as it would be started in this set-up: a slot per sequence that was measured together."""
    widest = max(d.decodes for d in decodes)
    given = [facts.get(key, "") for key in ("n_batch", "n_ubatch")]
    batch, ubatch = (int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 512 for text in given)
    context = max(4096, *(d.high_tok for d in decodes))
    return {"engine": "llama.cpp", "slots": widest, "n_batch": max(batch, widest), "n_ubatch": max(1, ubatch),
            "ctx_per_slot_tok": context}
