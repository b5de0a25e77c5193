"""Rows of token ids, for calibrating a quantiser and for perplexity: from the little world, or from a user's file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.config import read_text
from workbench.errors import Failure, UsageError
from workbench.models.documents import END_OF_TEXT, Documents
from workbench.models.tokenizer import Vocabulary
from workbench.models.world import World

CALIBRATION, HELD_OUT = "calibration", "perplexity"
SEED = 1


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of equal length. `name` says where the text is from; the hash is of the ids."""

    name: str
    seed: int | None
    ids: tuple[tuple[int, ...], ...]

    @property
    def tokens(self) -> int:
        return sum(map(len, self.ids))

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.ids).encode()).hexdigest()

    def told(self) -> dict[str, object]:
        """As provenance holds it."""
        return {"text": self.name, "seed": self.seed, "rows": len(self.ids), "tokens": self.tokens,
                "sha256": self.sha256}


def world_rows(vocabulary: Vocabulary, vocab: int, rows: int, row_tok: int, *, seed: int = SEED,
               held_out: bool = False) -> Rows:
    """Documents of the little world in a row. Held-out ones use phrasings and parameters that training never saw."""
    kind = HELD_OUT if held_out else CALIBRATION
    stream = Documents(World(), kind, seed, held_out=held_out)
    mark = END_OF_TEXT if vocabulary.id_of(END_OF_TEXT) is not None else "\n"
    cut = _cut((f"{mark}{stream.next().text}" for _ in iter(int, 1)), vocabulary, vocab, rows, row_tok)
    return Rows(f"the little world, {'held-out' if held_out else 'training'} text", seed, cut)


def file_rows(path: Path, vocabulary: Vocabulary, vocab: int, rows: int, row_tok: int) -> Rows:
    """A text file, or a .jsonl whose lines hold a "text"; UsageError where it is too short."""
    text = read_text(path)
    texts = [_text_of(line, number, path.name) for number, line in enumerate(text.split("\n"), 1) if line.strip()] \
        if path.suffix == ".jsonl" else text.splitlines(keepends=True)
    cut = _cut(iter(texts), vocabulary, vocab, rows, row_tok)
    if len(cut) < rows:
        raise UsageError(f"{path.name}: too short: it fills {len(cut)} of {rows} rows of {row_tok} tokens; "
                         "give more text or fewer rows with --calibration-rows")
    return Rows(path.name, None, cut)


def _text_of(line: str, number: int, name: str) -> str:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{name}: line {number}: not valid JSON: {error}") from error
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise UsageError(f'{name}: line {number}: no "text"; each line is an object with one')
    return text


def _cut(texts: Iterator[str], vocabulary: Vocabulary, vocab: int, rows: int,
         row_tok: int) -> tuple[tuple[int, ...], ...]:
    found: list[tuple[int, ...]] = []
    waiting: list[int] = []
    for text in texts:
        waiting += vocabulary.encode(text)
        while len(waiting) >= row_tok and len(found) < rows:
            found.append(tuple(waiting[:row_tok]))
            waiting = waiting[row_tok:]
        if len(found) == rows:
            break
    _refuse_beyond(found, vocab)
    return tuple(found)


def _refuse_beyond(rows: list[tuple[int, ...]], vocab: int) -> None:
    largest = max((max(row) for row in rows), default=0)
    if largest >= vocab:
        raise Failure(f"tokenizer.json: gives id {largest}, and the model's vocabulary has {vocab}; "
                      "it belongs to another model; take the one that came with this one")
