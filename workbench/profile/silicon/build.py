"""From the kernel database to a small profile: ask densely, make it never falling, keep few knots, say how far off."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.errors import UsageError
from workbench.profile.grid import Grid
from workbench.profile.profile import Profile, Subject
from workbench.profile.ranges import Range, Ranges
from workbench.profile.report import GridReport
from workbench.profile.silicon.database import DISTRIBUTION, MEMORY_FRAC, Database
from workbench.profile.silicon.errors import report
from workbench.profile.silicon.knots import Floats, choose, never_falling
from workbench.profile.silicon.setup import Setup

BLOCK_TOK = 16  # vLLM's default
MAX_SEQS = 256  # vLLM's default max_num_seqs on cards below 70 GiB; taken for all
BIG_CARD_BYTES = 70 << 30  # vLLM's EngineArgs: 8,192 tokens a step from here on, except on A100
MAX_DECODES, MAX_NEW_TOK, MAX_CTX_TOK = 512, 16_384, 131_072
WITHIN_FRAC = 0.005  # of the iteration's time, where the knots allow
FEW_KV_TOK = 32_768
UNTUNED = 1.15  # fewer bits and yet so much slower

DECODES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 448, 512)
NEW_TOK = (1, 8, 16, 32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, MAX_NEW_TOK)
TILE = 128  # matrix kernels step there


def build(setup: Setup, made_on: str) -> Profile:
    """`made_on` is the date that the provenance shows. Raises UsageError where the setup does not fit or is unknown."""
    database = Database(setup, batched_tok=8192, seqs=MAX_SEQS)
    blocks = database.kv_tok // BLOCK_TOK
    if blocks * BLOCK_TOK < 4096:
        raise UsageError(f"{setup}: does not fit, the KV cache would hold {database.kv_tok} tokens; "
                         "more GPUs (--tp), or fewer bits (--quant)")
    grid = read_grid(database)
    found = report(database, grid)
    return Profile(
        source="silicon", model=grid, subject=_subject(setup, database), parallel=setup.parallel,
        ranges=_ranges(grid, database.kv_tok), kv_blocks=blocks, block_tok=BLOCK_TOK,
        rules=_rules(setup, database, blocks),
        provenance=_provenance(setup, database, made_on), grid_report=found, thin=_thin(setup, database, found),
    )


def read_grid(database: Database) -> Grid:
    tokens = sorted({*map(round, np.geomspace(1, MAX_NEW_TOK, 150)),
                     *(edge + more for edge in range(TILE, 4096 + 1, TILE) for more in (0, 1))})
    rest = never_falling(np.asarray([database.rest_ms(n) for n in tokens]))
    singles = range(1, MAX_DECODES + 1)
    step = never_falling(np.asarray([database.step(n, 1024)[0] for n in singles]))
    few = choose(tokens, rest[None], rest, within_frac=WITHIN_FRAC, limit=32)
    few_steps = choose(singles, step[None], step, within_frac=WITHIN_FRAC, limit=24)

    contexts = _doubling(16, MAX_CTX_TOK)
    decode = never_falling(np.asarray([[database.step(n, ctx)[1] for ctx in contexts] for n in DECODES]))
    rows, columns = _thin_out(DECODES, contexts, decode, step[np.asarray(DECODES) - 1][:, None], limits=(12, 16))

    pasts = [0, *_doubling(128, min(MAX_CTX_TOK, max(4096, database.kv_tok)))]
    prompt = never_falling(np.asarray([[database.prompt_attention_ms(n, past) for past in pasts] for n in NEW_TOK]))
    new, past = _thin_out(NEW_TOK, pasts, prompt, np.interp(NEW_TOK, tokens, rest)[:, None], limits=(10, 8))
    return Grid(
        tokens=_at(tokens, few), rest_ns=_ns(rest[few]), step_n=_at(singles, few_steps), step_ns=_ns(step[few_steps]),
        decode_n=_at(DECODES, rows), ctx_tok=_at(contexts, columns),
        decode_attention_ns=tuple(_ns(row) for row in decode[np.ix_(rows, columns)]),
        new_tok=_at(NEW_TOK, new), past_tok=_at(pasts, past),
        prompt_attention_ns=tuple(_ns(row) for row in prompt[np.ix_(new, past)]),
        prompt_start_ns=round(_shared_start_ms(database) * 1e6),
    )


def _shared_start_ms(database: Database) -> float:
    """The part of prompt attention that several pieces share, such that k alike take start + k x (one - start)."""
    rows = [(k, database.prompt_attention_ms(new, past), database.prompt_attention_ms(new, past, k))
            for k in (2, 4, 8) for new in (16, 64, 256, 1024) for past in (0, 256, 2048)]
    tries = [one for _, one, _ in rows]

    def off(start: float) -> float:
        return sum(abs((start + k * max(0.0, one - start)) / together - 1) for k, one, together in rows)

    return min((0.0, *tries), key=off)


def _thin_out(
    down: Sequence[int], across: Sequence[int], table: Floats, rest: Floats, limits: tuple[int, int]
) -> tuple[list[int], list[int]]:
    """Rows and columns to keep; `rest` is what attention's time is added to: errors count as parts of the whole."""
    whole = table + rest
    columns = choose(across, table, whole, within_frac=WITHIN_FRAC, limit=limits[1])
    rows = choose(down, table[:, columns].T, whole[:, columns].T, within_frac=WITHIN_FRAC, limit=limits[0])
    return rows, columns


def _doubling(low: int, high: int) -> list[int]:
    """Two points an octave from `low` to `high`, both in."""
    n = round(2 * np.log2(high / low)) + 1
    return sorted({*map(round, np.geomspace(low, high, n))})


def _at(values: Sequence[int], kept: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(values[i]) for i in kept)


def _ns(values_ms: Floats) -> tuple[int, ...]:
    return tuple(round(float(value) * 1e6) for value in values_ms)


def _ranges(grid: Grid, kv_tok: int) -> Ranges:
    points = len(grid.decode_n) * len(grid.ctx_tok)
    prompts = len(grid.new_tok) * len(grid.past_tok)
    return Ranges(
        bounds={
            "prefill_tok": Range(low=1, high=grid.tokens[-1]),
            "prefill_n": Range(low=1, high=64),
            "prefill_past_max_tok": Range(low=1, high=grid.past_tok[-1]),
            "decode_n": Range(low=1, high=grid.step_n[-1]),
            "decode_ctx_sum_tok": Range(low=1, high=kv_tok),
            "ubatch_n": Range(low=1, high=1),
        },
        regions={"prefill": prompts, "decode": points, "mixed": min(prompts, points)},
    )


def _subject(setup: Setup, database: Database) -> Subject:
    return Subject(
        engine=setup.engine, engine_version=database.version, model=setup.model, quant=setup.quant,
        kv_type=setup.kv_type, hardware=f"{setup.gpus} x {setup.gpu}", gpu=setup.gpu, gpus=setup.gpus,
    )


def _rules(setup: Setup, database: Database, blocks: int) -> dict[str, Any]:
    """vLLM's own defaults on this card; other engines state no rules here."""
    if setup.engine != "vllm":
        return {}
    big = database.kv["total_gpu_capacity_bytes"] >= BIG_CARD_BYTES and "a100" not in setup.gpu
    ranks = {"ranks": setup.parallel.dp} if setup.parallel.dp > 1 else {}
    return {"engine": "vllm", "max_num_seqs": MAX_SEQS, "max_num_batched_tokens": 8192 if big else 2048,
            "block_tok": BLOCK_TOK, "kv_blocks": blocks, **ranks}


def _provenance(setup: Setup, database: Database, made_on: str) -> dict[str, Any]:
    memory = database.kv["memory_breakdown"]
    return {
        "database": f"{DISTRIBUTION} {database.package_version}, NVIDIA, Apache-2.0",
        "tables": f"{setup.gpu}, {setup.engine} {database.version}", "formats": database.formats,
        "made_on": made_on,
        "warnings": list(database.warnings),
        "kv_blocks": {
            "origin": "derived", "basis": f"{MEMORY_FRAC:.0%} of the card's memory less what else lies in it",
            "gpu_bytes": database.kv["total_gpu_capacity_bytes"],
            "kv_bytes_per_tok": database.kv["kv_size_per_token_bytes"], **memory,
        },
    }


def _thin(setup: Setup, database: Database, found: GridReport) -> tuple[str, ...]:
    """Where this profile knows little, one sentence each."""
    split = setup.parallel
    notes = ["kernel times alone: an engine's own time between iterations is not in them",
             "KV blocks are derived from memory, not read from an engine"]
    estimated = 1 - found.time_by_fidelity.get("silicon", 0.0)
    if estimated >= 0.01:
        named = ", ".join(sorted(database.estimated, key=lambda name: -database.estimated[name])[:3])
        notes.append(f"{estimated:.0%} of decode time is estimated, not measured ({named})")
    notes += [f"{name}: the table is off by {item.p95_abs_frac:.0%} at the 95th percentile"
              for name, item in found.residuals.items() if item.p95_abs_frac > 0.05]
    if setup.quant != "bf16" and (slower := database.slower_than_bf16()) > UNTUNED:
        notes.append(f"{setup.quant} is up to {slower:.1f} times as slow as bf16 here: tables of untuned kernels")
    if database.kv_tok < FEW_KV_TOK:
        notes.append(f"the KV cache holds {database.kv_tok} tokens only")
    if split.pp > 1:
        notes.append("an iteration is one pass through all pipeline stages; that they overlap is not modelled")
    if split.dp > 1:
        notes.append(f"an iteration is of one of {split.dp} ranks, all equally full; KV blocks are per rank")
    return (*notes, *(f"low fidelity: {text}" for text in database.warnings))
