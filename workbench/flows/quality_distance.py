"""Distance to the unquantised model for several quantisations, engines and KV types: one row each, one base for all."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.files import read_json, write_json
from workbench.flows.quality_logits import Asked, Logits, logits
from workbench.models import tokenizer
from workbench.models.gguf_header import read_gguf_header
from workbench.models.shipped import ModelFile, find, resolve
from workbench.paths import datasets
from workbench.quality.distance.measure import Distance, distance
from workbench.quality.distance.text import Text, read_text
from workbench.runlog.provenance import Provenance, collect

KIND, SCHEMA = "workbench.quality-distance", 1
FILE = "distance.json"
OnRow = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one engine, against the base. `bits_per_weight` is of all tensors of the file, norms included."""

    model: str
    quant: str
    engine: str
    version: str
    kv_type: str
    way: str
    weights_id: str
    grown_from: str
    bytes: int
    bits_per_weight: float
    distance: Distance
    gpus: int = 1  # tensor parallel

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> "Row":
        return Row(**{**raw, "distance": Distance.from_dict(raw["distance"])})


@dataclass(frozen=True, slots=True)
class Table:
    """The first row is the base held against itself: 0 by definition, its perplexity to compare with."""

    rows: tuple[Row, ...]
    text: str
    text_sha256: str
    provenance: Provenance

    def write(self, folder: Path) -> Path:
        path = folder / FILE
        write_json(path, {"kind": KIND, "schema": SCHEMA, "provenance": self.provenance.as_dict(), "text": self.text,
                          "text_sha256": self.text_sha256, "rows": [asdict(row) for row in self.rows]})
        return path


def read(path: Path) -> Table:
    path = path / FILE if path.is_dir() else path
    raw = read_json(path)
    if not isinstance(raw, dict) or raw.get("kind") != KIND:
        raise UsageError(f"{path.name}: not a table of `workbench quality distance`")
    if not isinstance(raw.get("schema"), int) or not 1 <= raw["schema"] <= SCHEMA:
        raise Failure(f"{path.name}: schema {raw.get('schema')!r}; this version reads 1 to {SCHEMA}; upgrade the "
                      "workbench")
    try:
        return Table(tuple(map(Row.from_dict, raw["rows"])), raw["text"], raw["text_sha256"],
                     Provenance.from_dict(raw["provenance"]))
    except (KeyError, TypeError) as error:
        raise Failure(f"{path.name}: damaged table: {error}; make it again") from error


def held_out(model: str, path: Path | None, documents: int | None, most_tok: int, tokens: Path | None) -> Text:
    """The text in the model's tokens; the shipped world's held-out documents unless another file is named."""
    words = tokenizer.load(tokens or _tokenizer_of(model))
    return read_text(path or datasets() / "tiny_world" / "text.jsonl", partial(words.encode, special=True),
                     documents=documents, most_tok=most_tok)


def _tokenizer_of(model: str) -> Path | None:
    return find(model).tokenizer_path if model.lower().endswith(".gguf") else resolve(model).tokenizer_path


def vocabulary_of(model: str) -> int:
    if not model.lower().endswith(".gguf"):
        return resolve(model).arch.vocab
    from workbench.models.arch import from_gguf

    header = read_gguf_header(Path(model))
    return from_gguf(header.metadata, frozenset(header.tensors), Path(model).name).vocab


def table(
    model: str, asked: Sequence[Asked], text: Text, *, base: Asked, log_dir: Path | None = None,
    on_row: OnRow | None = None,
) -> Table:
    """Every one of `asked` against `base`, on the same tokens. Raises before any work where one cannot be asked."""
    for item in (base, *asked):
        item.ready(model)
    vocabulary = vocabulary_of(model)
    with tempfile.TemporaryDirectory(prefix="workbench-distance-") as scratch:
        logs = log_dir or Path(scratch)
        first = logits(base, model, text, vocabulary, logs, keep=True)
        rows = [_row(model, first, first, text)]
        for item in asked:
            if item == base:
                continue
            if on_row is not None:
                spread = f", tp {item.gpus}" if item.gpus > 1 else ""
                on_row(f"{item.quant} on {item.engine}, KV {item.kv_type}{spread}")
            rows.append(_row(model, first, logits(item, model, text, vocabulary, logs), text))
    about = collect("real", engine=base.engine, model=model, quant=first.file.quant, weights_id=first.file.weights_id,
                    kv_type=first.source.kv_type, workload={"text": text.name, "documents": len(text.rows)})
    return Table(tuple(rows), text.name, text.sha256, about)


def _row(model: str, base: Logits, found: Logits, text: Text) -> Row:
    file, source = found.file, found.source
    return Row(
        model=model, quant=file.quant, engine=source.engine, version=source.version, kv_type=source.kv_type,
        way=source.way, weights_id=file.weights_id, grown_from=file.grown_from or "", bytes=file.bytes,
        bits_per_weight=round(bits_per_weight(file), 3),
        distance=distance(base.expected, found.expected, text.document), gpus=source.gpus,
    )


def bits_per_weight(file: ModelFile) -> float:
    """Of all tensors as they are stored; of a folder its safetensors files, headers and all."""
    if file.path.is_dir():
        return 8 * file.bytes / file.params
    tensors = read_gguf_header(file.path).tensors.values()
    return 8 * sum(tensor.size_bytes for tensor in tensors) / file.params
