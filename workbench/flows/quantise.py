"""`workbench quantise`: make it, reload it in every engine that claims to read it, write down how it came about.

What is half done lies in `.NAME.work` beside the result, and the next attempt with the same order goes on from there;
the result appears under its name when it is whole, or not at all.
"""

import math
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from workbench.errors import Failure
from workbench.files import read_json, write_json
from workbench.flows import quantise_child
from workbench.flows.engine_models import safetensors
from workbench.flows.quantise_order import Order, default_out, refuse
from workbench.flows.quantise_reload import reload
from workbench.models import layout, provenance
from workbench.models.folder import ModelFolder
from workbench.models.gguf_header import read_gguf_header
from workbench.models.gguf_tensors import GgufTensors
from workbench.models.licence import licence_of
from workbench.models.perplexity import MOST_PARAMS, mean_nats, perplexity
from workbench.models.provenance import Provenance
from workbench.models.quantise import gguf_file
from workbench.models.quantise.importance import importance
from workbench.models.quantise.verdict import judge
from workbench.models.quantised import identity, open_quantised
from workbench.models.shipped import ModelFile, find
from workbench.models.tensors import stored_form
from workbench.runlog.provenance import now_utc

OnStage = Callable[[str], None]
__all__ = ["Order", "default_out", "quantise_model"]


def quantise_model(order: Order, on_stage: OnStage = lambda _stage: None) -> Provenance:
    """Raises UsageError, or Failure where a reload is not what was made (unless `keep`)."""
    refuse(order)
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
    if told.kept_despite and not order.keep:
        raise Failure(f"{order.out.name}: not kept: {told.kept_despite}; --keep keeps it nevertheless")
    _place(made, order.out, told)
    shutil.rmtree(work)
    return told


def wrong(reloads: Iterable[Mapping[str, Any]]) -> str:
    """Who reads it as another model; or that nobody who tried could read it. Empty where all is well."""
    rows = list(reloads)
    bad = [f"{row['engine']} reads it as another model: {row['words']}" for row in rows if row.get("good") is False]
    refused = [f"{row['engine']} refuses it: {row['refused']}" for row in rows if "refused" in row]
    return "; ".join(bad or ([] if any("perplexity" in row for row in rows) else refused))


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
    dtype = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}[stored_form(order.folder.tensors)]
    request = {"model": str(source.path.resolve()), "dtype": dtype, "out": str(made.resolve()),
               "settings": dict(method.settings), "seed": order.seed,
               "rows": [list(row) for row in rows.ids] if rows else [], "threads": os.cpu_count() or 1,
               "probe": [list(row) for row in order.probe.ids]}
    shutil.rmtree(made, ignore_errors=True)
    found = quantise_child.run(method.environment, method.child, request, work, env=method.env, on_stage=on_stage)
    if not made.is_dir():
        raise Failure(f"{method.name}: {method.library} wrote nothing")
    _complete(made, source.path)
    told: dict[str, Any] = {"library": found["library"]}
    told |= {name: finite(method.name, name, found[f"{name}_nats"]) for name in ("original", "expected")
             if f"{name}_nats" in found}
    if "original" not in told and order.folder.arch.params <= MOST_PARAMS:
        told["original"] = perplexity(mean_nats(order.folder.arch, order.folder.tensors, order.probe.ids))
    told["weights_id"] = identity(order.source, method.name, provenance.hashes(made))
    return told


def finite(method: str, what: str, nats: float) -> float:
    """NaN and the like before anything was saved: there is nothing to reload."""
    if not math.isfinite(found := perplexity(nats)):
        which = "the original" if what == "original" else "what it made"
        raise Failure(f"{method}: {which} gives no probabilities already in the quantiser's memory; nothing was kept")
    return found


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
        reloads=tuple(state["reloads"].values()), kept_despite=wrong(state["reloads"].values()),
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
