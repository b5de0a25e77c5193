"""Rows of packed documents: token ids, loss weights, and which positions may see each other."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from torch import Tensor

from workbench.models.documents import Documents
from workbench.models.draw import Draw

OUTSIDE_WEIGHT = 0.4   # of a token that is no answer: which fact comes next cannot be learnt
OPEN_ROWS_FRAC = 0.15  # rows whose documents see each other, so that all positions up to the context are trained


class Batches:
    """Endless batches; a document may be cut at the end of a row."""

    def __init__(self, documents: Documents, tokenizer: Tokenizer, rows: int, context_tok: int, seed: int) -> None:
        self._documents, self._tokenizer = documents, tokenizer
        self._rows, self._context_tok = rows, context_tok
        self._draw = Draw("open rows", seed)
        self._ids: list[int] = []
        self._weights: list[float] = []
        self._causal = torch.ones(context_tok, context_tok, dtype=torch.bool).tril()

    def _read_document(self) -> None:
        document = self._documents.next()
        encoded = self._tokenizer.encode(document.text, add_special_tokens=False)
        spans = iter((*document.answers, (1 << 60, 1 << 60)))
        start, end = next(spans)
        self._ids.append(0)
        self._weights.append(1.0)  # where the document before it ends is worth learning
        for token, (first, last) in zip(encoded.ids, encoded.offsets, strict=True):
            while first >= end:
                start, end = next(spans)
            self._ids.append(token)
            self._weights.append(1.0 if last > start else OUTSIDE_WEIGHT)

    def next(self) -> tuple[Tensor, Tensor, Tensor]:
        """(ids [rows, context], weights [rows, context], mask [rows, 1, context, context])."""
        need = self._rows * self._context_tok
        while len(self._ids) < need:
            self._read_document()
        shape = (self._rows, self._context_tok)
        ids = torch.tensor(self._ids[:need]).view(shape)
        weights = torch.tensor(self._weights[:need]).view(shape)
        del self._ids[:need], self._weights[:need]
        document = (ids == 0).cumsum(1)
        same = document[:, None, :, None] == document[:, None, None, :]
        open_row = torch.tensor([self._draw.unit() < OPEN_ROWS_FRAC for _ in range(self._rows)])
        return ids, weights, (same | open_row[:, None, None, None]) & self._causal
