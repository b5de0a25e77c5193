"""A model's tokenizer, and prompts of exact length in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from workbench.errors import Failure, UsageError
from workbench.models.documents import SPECIAL_TOKENS, Documents
from workbench.models.world import World

# GPT-2's pattern would merge the quotes that end a docstring with the indent of the next line; Qwen2's
# (llama.cpp knows it by the name "qwen2") does not, and it cuts numbers into single digits.
QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SALT_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SALT_LENGTH = 10
_TRIES = 200
_PROSE = {"tale": 0.6, "dialogue": 0.4}  # no special tokens, and no code that a cut would spoil


class Vocabulary:
    """Text to ids and back; no token is added at the front unless asked for."""

    def __init__(self, tokenizer: Tokenizer, name: str) -> None:
        self._tokenizer, self._name = tokenizer, name
        self._world: World | None = None

    @property
    def size(self) -> int:
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str, special: bool = False) -> list[int]:
        """`special`: with what the model wants at the front (its begin-of-text token)."""
        return list(self._tokenizer.encode(text, add_special_tokens=special).ids)

    def decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False))

    def id_of(self, token: str) -> int | None:
        found = self._tokenizer.token_to_id(token)
        return None if found is None else int(found)

    def prompt_ids(self, n_tok: int, rng: np.random.Generator) -> list[int]:
        """Exactly `n_tok` ids of text about the little world; `decode` then `encode` gives the same ids.

        Begins with ten random letters, so no two prompts share more than the first few letters' tokens and a
        prefix cache stays cold. Without a begin-of-text token: a server that adds one counts one more.
        """
        if n_tok < 1:
            raise UsageError(f"input_tok: {n_tok}: a prompt has at least one token")
        for _ in range(_TRIES):
            ids = self.encode(self._long_text(n_tok, rng))[:n_tok]
            if len(ids) == n_tok and self.encode(self.decode(ids)) == ids:
                return ids
        raise Failure(f"{self._name}: no text of exactly {n_tok} tokens found; does it decode what it encodes?")

    def _long_text(self, n_tok: int, rng: np.random.Generator) -> str:
        if self._world is None:
            self._world = World()
        stream = Documents(self._world, "prompt", int(rng.integers(1 << 62)), shares=_PROSE)
        salt = "".join(_SALT_LETTERS[int(letter)] for letter in rng.integers(26, size=_SALT_LENGTH))
        parts, enough = [f"{salt}\n"], 3 * n_tok
        while enough > 0:
            text = stream.next().text
            parts.append(text)
            enough -= len(text.split())  # a word is at least one token
        return "".join(parts)


def load(path: Path | None) -> Vocabulary:
    """The tokenizer of a `tokenizer.json`, or of the folder that holds one."""
    if path is None:
        raise UsageError("this model has no tokenizer.json beside it; name one with --tokenizer PATH")
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"{file}: no such file; name a tokenizer.json or the folder that holds it")
    try:
        return Vocabulary(Tokenizer.from_file(str(file)), file.name)
    except Exception as error:  # the Rust library raises no narrower one
        raise Failure(f"{file.name}: not a tokenizer: {str(error)[:120]}") from error


__all__ = ["QWEN2_PATTERN", "SPECIAL_TOKENS", "Vocabulary", "load"]
