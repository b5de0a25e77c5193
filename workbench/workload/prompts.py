"""What a prompt says: nothing of interest, at an exact length, and never twice the same.

Every prompt begins with a random word that depends on the run's salt and on the request, so a server's prefix cache
is never warm by accident. The salt is fresh for each run unless it is given; keep `salt` in the provenance.
"""

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from workbench.errors import Failure
from workbench.models import tokenizer
from workbench.runlog.schema import Planned

WORDS = tuple(
    "the river and a mill stand near old stone where seven boats wait for grain from northern fields while rain "
    "falls on roofs of clay then market people carry bread salt wool lamps copper jars along narrow roads until "
    "evening comes with bells over quiet houses some keep bees others mend nets or write letters about winter".split()
)
ONE_MORE = (" a", " the", " of", " and", ".", ",", " I", "\n", " x", "1", "-", "?")  # one of these adds one token
PREFIX_REQUEST = 1 << 40  # shared blocks draw far from the requests
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Encoder(Protocol):
    """What is needed of a tokenizer; special tokens are not added."""

    def encode(self, text: str) -> Sequence[int]: ...


@runtime_checkable
class Storyteller(Encoder, Protocol):
    """A tokenizer that can write prompts of its own: `workbench.models.tokenizer.Vocabulary`."""

    def decode(self, ids: list[int]) -> str: ...
    def prompt_ids(self, n_tok: int, rng: np.random.Generator) -> list[int]: ...


class Prompts:
    """Prompts of exact token length for one tokenizer, or of a number of words where there is none.

    The text is of the shipped model's little world where the tokenizer can write it, so that the model answers in
    whole words; else it is plain words.
    """

    def __init__(self, encoder: Encoder | None = None, *, salt: int | None = None) -> None:
        self.encoder = encoder
        self.salt = secrets.randbits(48) if salt is None else salt
        self._tok_per_word = 0.0
        self._round_trip: bool | None = None

    @staticmethod
    def load(tokenizer_path: Path | None, *, salt: int | None = None) -> "Prompts":
        """For a tokenizer.json (or its folder); for words where that is None."""
        return Prompts(None if tokenizer_path is None else tokenizer.load(tokenizer_path), salt=salt)

    def words(self, n_words: int, request: int) -> str:
        """`n_words` words, the first one the salt: for servers whose tokenizer is not known."""
        stream = self._stream(request)
        first = "".join(LETTERS[i] for i in stream.integers(0, len(LETTERS), 8))
        picked = stream.integers(0, len(WORDS), max(0, n_words - 1))
        return " ".join([first, *(WORDS[i] for i in picked)])[: None if n_words else 0]

    def text(self, n_tok: int, request: int) -> str:
        """Text that encodes to exactly `n_tok` tokens (a server may still put a BOS token before it)."""
        encoder = self._encoder()
        story = self._story(encoder, n_tok, request)
        if story is not None:
            return story[0]
        if not self._tok_per_word:
            self._tok_per_word = max(0.2, len(encoder.encode(self.words(200, 0))) / 200)
        n_words = int(n_tok / self._tok_per_word) + 16
        text = self.words(n_words, request)
        while len(encoder.encode(text)) < n_tok:
            n_words *= 2
            text = self.words(n_words, request)
        return _fill(encoder, _cut(encoder, text, n_tok), n_tok)

    def token_ids(self, n_tok: int, request: int) -> list[int]:
        """Exactly `n_tok` token ids."""
        story = self._story(self._encoder(), n_tok, request)
        if story is not None:
            return story[1]
        return [int(item) for item in self._encoder().encode(self.text(n_tok, request))]

    def for_schedule(
        self, schedule: Sequence[Planned], form: Literal["ids", "text"] = "text"
    ) -> list[str] | list[list[int]]:
        """One prompt for each planned request, in order."""
        if form == "ids":
            blocks: dict[int, list[int]] = {}
            return [self._shared_ids(item, blocks) + self.token_ids(item.asked_prompt_tok - item.shared_tok, i)
                    if item.shared_tok < item.asked_prompt_tok else self._shared_ids(item, blocks)
                    for i, item in enumerate(schedule)]
        if any(item.prefix_ids for item in schedule):
            raise Failure("prompts that share a prefix need token ids: give the tokenizer, or leave out the prefixes")
        return [self.text(item.asked_prompt_tok, i) for i, item in enumerate(schedule)]

    def _shared_ids(self, item: Planned, blocks: dict[int, list[int]]) -> list[int]:
        """The blocks that other prompts of the run have too: each depends on the salt and its id alone. `blocks` are
        those made already."""
        for number in item.prefix_ids:
            if number not in blocks:
                blocks[number] = self.token_ids(item.prefix_tok, PREFIX_REQUEST + number)
        return [tok for number in item.prefix_ids for tok in blocks[number]][: item.shared_tok]

    def _story(self, encoder: Encoder, n_tok: int, request: int) -> tuple[str, list[int]] | None:
        """World text and its ids; None where the tokenizer cannot write it, or does not decode what it encodes."""
        if not isinstance(encoder, Storyteller) or not self._faithful(encoder):
            return None
        try:
            ids = encoder.prompt_ids(n_tok, self._stream(request))
        except Failure:
            return None
        return encoder.decode(ids), ids

    def _faithful(self, encoder: Storyteller) -> bool:
        """Whether it decodes what it encodes; tried once (some normalise, or put a space in front)."""
        if self._round_trip is None:
            ids = list(encoder.encode(self.words(40, 0)))
            self._round_trip = list(encoder.encode(encoder.decode(ids))) == ids
        return self._round_trip

    def _encoder(self) -> Encoder:
        if self.encoder is None:
            raise Failure("prompts of exact token length need a tokenizer; give one, or ask for words")
        return self.encoder

    def _stream(self, request: int) -> np.random.Generator:
        digest = hashlib.sha256(f"prompt {self.salt} {request}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _cut(encoder: Encoder, text: str, n_tok: int) -> str:
    """The longest beginning, by characters, that is found to have at most `n_tok` tokens.

    Bisection takes the token count as growing with the text, which is nearly so; the check at the end is exact.
    """
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(encoder.encode(text[:middle])) <= n_tok:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _fill(encoder: Encoder, text: str, n_tok: int) -> str:
    """Add single tokens at the end until there are exactly `n_tok`."""
    while (have := len(encoder.encode(text))) != n_tok:
        more = next((text + end for end in ONE_MORE if have < len(encoder.encode(text + end)) <= n_tok), None)
        if more is None:
            raise Failure(f"no text of exactly {n_tok} tokens was found for this tokenizer; try another length")
        text = more
    return text
