"""Sessions drawn: each reads streams of its own, so that one more or a longer one leaves the others as they are."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from workbench.errors import UsageError
from workbench.workload.prefix import SESSION_IDS, Ids
from workbench.workload.sessions import BLOCK_TOK, Sessions, Turn, turns, with_ids
from workbench.workload.spec import WorkloadSpec
from workbench.workload.streams import (
    OUTPUTS,
    PREFIXES,
    PROMPTS,
    THINK,
    TURNS,
    Drawn,
    lengths,
    people,
    times,
    uniform,
)


def from_sessions(spec: WorkloadSpec, sessions: Sessions, seed: int, folder: Path) -> Drawn:
    """Session after session, each with its turns in order; `requests` cuts the last one short."""
    assert spec.arrivals is not None
    when = times(spec, spec.arrivals, seed)
    n = len(when) if when is not None else spec.requests or 0  # each session has a turn, so as many are enough
    who = people(spec, seed, n)
    rows: list[tuple[int, int | None, Turn, int]] = []  # (session, place of the turn before, the turn, think_ns)
    for number, talk in _talks(spec, sessions, seed, folder, n):
        think = sessions.think_ns(uniform(seed, THINK, number, n=len(talk))).tolist()
        for k, turn in enumerate(talk):
            rows.append((number, len(rows) - 1 if k else None, turn, think[k] if k else 0))
        if spec.requests is not None and len(rows) >= spec.requests:
            break
    rows = rows[: spec.requests]
    if not rows or len(rows) < (spec.requests or 0):
        raise UsageError(f"sessions: {len(rows)} of {spec.requests or 'any'} requests fit into max_context_tok "
                         f"{sessions.max_context_tok}; raise it or shorten prompt_tok, or wait longer for a session")
    return Drawn(
        [None if after is not None or when is None else int(when[number]) for number, after, _, _ in rows],
        [turn.prompt_tok for _, _, turn, _ in rows], [turn.output_tok for _, _, turn, _ in rows],
        [turn.prefix_ids for _, _, turn, _ in rows], spec.prefix.block_tok if spec.prefix else BLOCK_TOK,
        [who[number] for number, _, _, _ in rows], [after for _, after, _, _ in rows],
        [think_ns for _, _, _, think_ns in rows],
    )


def _talks(spec: WorkloadSpec, sessions: Sessions, seed: int, folder: Path, n: int) -> Iterator[tuple[int, list[Turn]]]:
    """(number, turns) of each of `n` sessions in which something fits."""
    block_tok, first_id = spec.prefix.block_tok if spec.prefix else BLOCK_TOK, SESSION_IDS
    groups = uniform(seed, PREFIXES, n=n)
    for number, turn_n in enumerate(sessions.turns_of(uniform(seed, TURNS, n=n))):
        first, second = (uniform(seed, stream, number, n=turn_n) for stream in (PROMPTS, OUTPUTS))
        added, outputs = lengths(spec, folder, first, second)
        fitting = turns(added.tolist(), outputs.tolist(), sessions.max_context_tok)
        if not fitting:
            continue
        begin: Ids = ()
        if spec.prefix is not None:
            begin = spec.prefix.ids(groups[number : number + 1], np.asarray([fitting[0][0]]))[0]
        yield number, with_ids(fitting, begin, first_id, block_tok)
        first_id += -(-fitting[-1][0] // block_tok)
