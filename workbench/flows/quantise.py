"""`workbench quantise`: make it, reload it in every engine that claims to read it, write down how it came about.

What is half done lies in `.NAME.work` beside the result, and the next attempt with the same order goes on from there;
the result appears under its name when it is whole, or not at all.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.files import read_json, write_json
from workbench.flows import quantise_child, quantise_environments
from workbench.flows.engine_models import safetensors
from workbench.flows.quantise_reload import reload
from workbench.models import layout, provenance
from workbench.models.calibration import SEED, Rows, file_rows, world_rows
from workbench.models.folder import ModelFolder
from workbench.models.gguf_header import read_gguf_header
from workbench.models.gguf_tensors import GgufTensors
from workbench.models.licence import licence_of
from workbench.models.perplexity import MOST_PARAMS, mean_nats, perplexity
from workbench.models.provenance import Provenance
from workbench.models.quantise import gguf_file
from workbench.models.quantise.importance import importance
from workbench.models.quantise.method import Method
from workbench.models.quantise.verdict import judge
from workbench.models.quantised import identity, open_quantised
from workbench.models.shipped import ModelFile, find, resolve
from workbench.models.tensors import stored_form
from workbench.models.tokenizer import load
from workbench.models.weights import source_id
from workbench.runlog.provenance import now_utc

PROBE_ROWS, PROBE_TOK = 4, 128
OnStage = Callable[[str], None]


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


def quantise_model(order: Order, on_stage: OnStage = lambda _stage: None) -> Provenance:
    """Raises UsageError, or Failure where a reload is not what was made (unless `keep`)."""
    _refuse(order)
    work = order.out.with_name(f".{order.out.name}.work")
    state = _resumed(work, order.key)
    made = work / ("made.gguf" if order.method.form == "gguf" else "made")
    if "made" not in state:
        on_stage("making")
        state["made"] = _gguf(order, made) if order.method.form == "gguf" else _by_child(order, work, made, on_stage)
        write_json(work / "state.json", state)
    model = find(str(made)) if order.method.form == "gguf" else open_quantised(made)
    for engine in order.method.reads:
        if engine not in state["reloads"]:
            on_stage(f"reloading in {engine}")
            state["reloads"][engine] = _reloaded(engine, order, model, state["made"])
            write_json(work / "state.json", state)
    told = _provenance(order, made, state)
    bad = [row for row in state["reloads"].values() if row.get("good") is False]
    if bad and not order.keep:
        raise Failure(f"{order.out.name}: not kept: {bad[0]['engine']} reads it as another model: {bad[0]['words']}; "
                      "--keep keeps it nevertheless")
    _place(made, order.out, told)
    shutil.rmtree(work)
    return told


def _refuse(order: Order) -> None:
    method, out = order.method, order.out
    if method.needs_gpu:
        raise UsageError(f"{method.name} needs {method.needs_gpu}")
    if order.importance and method.calibration != "takes":
        raise UsageError(f"--importance: {method.name} takes no importance matrix; K-quants do")
    if order.model.lower().endswith(".gguf"):
        name = Path(order.model).name
        raise UsageError(f"{name}: a method begins with a folder: `workbench convert {name} --to safetensors` makes it, "
                         "to the bit where the file holds F32 or F16")
    if method.form == "gguf" and out.suffix != ".gguf":
        raise UsageError(f"--out: {out.name}: give a name that ends in .gguf")
    if out.exists():
        raise UsageError(f"{out.name}: exists already; remove it or choose another name with --out")
    if not out.parent.is_dir():
        raise UsageError(f"--out: {out.parent.name}/: no such folder")
    if method.form == "gguf":
        gguf_file.tool_for(method.name)
    quantise_environments.require(method)


def _resumed(work: Path, key: str) -> dict[str, Any]:
    """What an earlier attempt at the same order left; anything else is cleared away."""
    if (work / "state.json").is_file():
        state: dict[str, Any] = read_json(work / "state.json")
        if state.get("key") == key:
            return state
    if work.exists():
        shutil.rmtree(work)
    work.mkdir(parents=True)
    return {"key": key, "reloads": {}}


def _gguf(order: Order, made: Path) -> dict[str, Any]:
    folder, rows = order.folder, order.calibration_rows
    matrix = importance(folder.arch, folder.tensors, rows.ids) if rows else None
    done = gguf_file.make(folder, order.method.name, made, matrix)
    tool = gguf_file.tool_for(order.method.name)
    told: dict[str, Any] = {"weights_id": done.weights_id, "library": _gguf_library(tool.version if tool else None)}
    if folder.arch.params <= MOST_PARAMS:
        told["original"] = perplexity(mean_nats(folder.arch, folder.tensors, order.probe.ids))
        told["expected"] = perplexity(mean_nats(folder.arch, GgufTensors(made), order.probe.ids))
    else:
        exact = reload("llama.cpp", find(order.model, stored_form(folder.tensors)), order.probe.ids)
        told["original"] = exact.get("perplexity")
    return told


def _gguf_library(tool: str | None) -> dict[str, str]:
    from importlib import metadata

    if tool is None:
        return {"gguf": metadata.version("gguf")}
    name, _, version = tool.rpartition(" ")
    return {name: f"sha256 {version}"}


def _by_child(order: Order, work: Path, made: Path, on_stage: OnStage) -> dict[str, Any]:
    method, rows = order.method, order.calibration_rows
    source = safetensors(order.model)
    request = {"model": str(source.path), "out": str(made.resolve()), "settings": dict(method.settings),
               "seed": order.seed, "rows": [list(row) for row in rows.ids] if rows else [],
               "threads": os.cpu_count() or 1,
               "probe": [list(row) for row in order.probe.ids]}
    shutil.rmtree(made, ignore_errors=True)
    found = quantise_child.run(method.environment, method.child, request, work, env=method.env, on_stage=on_stage)
    if not made.is_dir():
        raise Failure(f"{method.name}: {method.library} wrote nothing")
    _complete(made, source.path)
    told: dict[str, Any] = {"library": found["library"]}
    told |= {name: perplexity(found[f"{name}_nats"]) for name in ("original", "expected") if f"{name}_nats" in found}
    if "original" not in told and order.folder.arch.params <= MOST_PARAMS:
        told["original"] = perplexity(mean_nats(order.folder.arch, order.folder.tensors, order.probe.ids))
    told["weights_id"] = identity(order.source, method.name, provenance.hashes(made))
    return told


def _complete(made: Path, source: Path) -> None:
    """The tokenizer's files as they were: a library's own way to save them may change them."""
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        if (source / name).is_file():
            shutil.copyfile(source / name, made / name)


def _reloaded(engine: str, order: Order, model: ModelFile, made: Mapping[str, Any]) -> dict[str, Any]:
    row = reload(engine, model, order.probe.ids, order.method.environment if engine == "transformers" else "")
    if "perplexity" in row and made.get("original") is not None:
        verdict = judge(row["perplexity"], made["original"], made.get("expected"))
        row |= {"good": verdict.good, "words": verdict.words}
    return row


def _provenance(order: Order, made: Path, state: Mapping[str, Any]) -> Provenance:
    arch, files = order.folder.arch, provenance.hashes(made)
    weights = [made] if made.is_file() else [
        path for path in made.iterdir() if path.suffix in (".safetensors", ".onnx", ".data")]
    size_bytes = sum(path.stat().st_size for path in weights)
    params = read_gguf_header(made).params if made.is_file() else sum(_sizes(order.folder))
    rows = order.calibration_rows
    bad = [row["words"] for row in state["reloads"].values() if row.get("good") is False]
    told = state["made"]
    return Provenance(
        method=order.method.name, form=order.method.form, bits_per_weight=round(8 * size_bytes / params, 4),
        bytes=size_bytes, params=params, weights_id=told["weights_id"],
        source={"name": order.folder.name, "weights_id": order.source, "context_tok": arch.context_tok,
                "licence": licence_of(order.folder.path),
                **{name: round(told[name], 6) for name in ("original", "expected") if told.get(name) is not None}},
        library=told["library"], calibration=rows.told() if rows else None,
        settings=dict(order.method.settings) | ({"importance_matrix": True} if order.importance else {}),
        files={order.out.name: next(iter(files.values()))} if made.is_file() else files, made_at_utc=now_utc(),
        reloads=tuple(state["reloads"].values()), kept_despite="; ".join(bad),
    )


def _sizes(folder: ModelFolder) -> list[int]:
    from math import prod

    return [prod(shape) for shape in layout.shapes(folder.arch).values()]


def _place(made: Path, out: Path, told: Provenance) -> None:
    """Provenance first: a model under its final name is never without."""
    if made.is_dir():
        provenance.write(made, told)
        made.rename(out)
        return
    provenance.write(out, told)
    made.rename(out)
