"""What is asked of `workbench quantise`, and what follows from it: the model, the rows, the key of the result."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from workbench.errors import UsageError
from workbench.flows import quantise_environments
from workbench.models.calibration import SEED, Rows, file_rows, world_rows
from workbench.models.folder import ModelFolder
from workbench.models.quantise import gguf_file
from workbench.models.quantise.method import Method
from workbench.models.shipped import resolve
from workbench.models.tokenizer import load
from workbench.models.weights import source_id

PROBE_ROWS, PROBE_TOK = 4, 128


@dataclass(frozen=True)
class Order:
    """What is asked for. `calibration` is a text file; None is the little world's training text."""

    model: str
    method: Method
    out: Path
    calibration: Path | None = None
    rows: int = 64
    row_tok: int = 256
    seed: int = SEED
    importance: bool = False
    keep: bool = False

    @cached_property
    def folder(self) -> ModelFolder:
        return resolve(self.model)

    @cached_property
    def calibration_rows(self) -> Rows | None:
        wanted = self.method.calibration == "needs" or (self.method.calibration == "takes" and self.importance)
        if not wanted:
            return None
        vocabulary, arch = load(self.folder.tokenizer_path), self.folder.arch
        if self.row_tok > arch.context_tok:
            raise UsageError(f"--calibration-tokens: {self.row_tok}: the model's context is {arch.context_tok}")
        if self.calibration is not None:
            return file_rows(self.calibration, vocabulary, arch.vocab, self.rows, self.row_tok)
        return world_rows(vocabulary, arch.vocab, self.rows, self.row_tok, seed=self.seed)

    @cached_property
    def probe(self) -> Rows:
        """Held-out text on which every reload is compared."""
        arch = self.folder.arch
        return world_rows(load(self.folder.tokenizer_path), arch.vocab, PROBE_ROWS, min(PROBE_TOK, arch.context_tok),
                          held_out=True)

    @cached_property
    def source(self) -> str:
        """Reads every weight once: NaN is found here."""
        return source_id(self.folder.ungrown)

    @property
    def key(self) -> str:
        """Of everything that decides what comes out."""
        rows = self.calibration_rows
        made = [self.source, str(self.folder.arch), self.method.name, dict(self.method.settings), self.seed,
                rows.sha256 if rows else None]
        return hashlib.sha256(json.dumps(made).encode()).hexdigest()


def default_out(model: str, method: Method) -> Path:
    """NAME-METHOD in the working folder."""
    name = f"{Path(model).name.removesuffix('.gguf')}-{method.name}"
    return Path(f"{name}.gguf" if method.form == "gguf" else name)


def refuse(order: Order) -> None:
    """UsageError for what can be known before anything is done."""
    method, out = order.method, order.out
    if method.needs_gpu:
        raise UsageError(f"{method.name} needs {method.needs_gpu}")
    if order.importance and method.calibration != "takes":
        raise UsageError(f"--importance: {method.name} takes no importance matrix; K-quants do")
    if order.model.lower().endswith(".gguf"):
        name = Path(order.model).name
        raise UsageError(f"{name}: a method begins with a folder: `workbench convert {name} --to safetensors` makes "
                         "one, to the bit where it holds F32 or F16")
    if method.form == "gguf" and out.suffix != ".gguf":
        raise UsageError(f"--out: {out.name}: give a name that ends in .gguf")
    if out.exists():
        raise UsageError(f"{out.name}: exists already; remove it or choose another name with --out")
    if not out.parent.is_dir():
        raise UsageError(f"--out: {out.parent.name}/: no such folder")
    if method.form == "gguf":
        gguf_file.tool_for(method.name)
    quantise_environments.require(method)
