"""The text on which distributions are compared: documents as token ids, each on its own."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.errors import UsageError


@dataclass(frozen=True)
class Text:
    """Documents of two tokens or more. The first token of each is given, every other one is predicted."""

    name: str
    rows: tuple[tuple[int, ...], ...]

    @cached_property
    def target(self) -> NDArray[np.int64]:
        """[n] the tokens that came."""
        return np.array([token for row in self.rows for token in row[1:]], dtype=np.int64)

    @cached_property
    def document(self) -> NDArray[np.int64]:
        """[n] the document of each predicted token: what the statistics are clustered by."""
        return np.repeat(np.arange(len(self.rows)), [len(row) - 1 for row in self.rows])

    @property
    def sha256(self) -> str:
        """Of the ids: the same text through another tokenizer is another text."""
        return hashlib.sha256(json.dumps(self.rows).encode()).hexdigest()

    @property
    def longest_tok(self) -> int:
        return max(map(len, self.rows))


def read_text(
    path: Path, encode: Callable[[str], list[int]], *, documents: int | None = None, most_tok: int | None = None,
) -> Text:
    """Column `text` of a JSONL file, through a tokenizer that puts the model's first token in front. A document longer
    than `most_tok` is cut there."""
    rows = [tuple(encode(text)[:most_tok]) for text in _documents(path, documents)]
    kept = tuple(row for row in rows if len(row) > 1)
    if len(kept) < 2:
        raise UsageError(f"{path.name}: holds {len(kept)} documents of two tokens or more; intervals need two of them")
    return Text(path.name, kept)


def _documents(path: Path, most: int | None) -> Iterator[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # splitlines() would also cut inside a text
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; give a JSONL file with a column 'text'") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name}: cannot be read as text: {error}") from None
    for number, line in [(number, line) for number, line in enumerate(lines, 1) if line.strip()][:most]:
        try:
            yield str(json.loads(line)["text"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UsageError(f"{path.name}:{number}: not a JSON object with a column 'text'") from None
