"""Other people's load generators, each in an environment of its own: how they are started, and what they wrote.

`python`: an interpreter that has the client. Keys go by environment or by a file that only we can read.
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.bench.target import Target
from workbench.errors import Failure
from workbench.files import read_json, write_text
from workbench.redact import redact

RESULT = "theirs.json"


@dataclass(frozen=True, slots=True)
class Shape:
    """A workload that every client can be asked for. `rate_per_s` None is the closed loop; `cv` that of the gaps."""

    requests: int
    prompt_tok: int
    output_tok: int
    rate_per_s: float | None
    concurrency: int | None
    cv: float
    seed: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One run of a client. `tokenizer` is a folder that transformers reads; `folder` is where it writes."""

    target: Target
    tokenizer: Path
    shape: Shape
    folder: Path


@dataclass(frozen=True, slots=True)
class Theirs:
    """Means under the client's own definitions, in seconds and tokens; n requests that it counts as good."""

    n: int
    prompt_tok: float
    output_tok: float
    means: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Client:
    """`module` is what `python -m` runs; `begin` writes what it needs and gives its arguments and environment."""

    name: str
    distribution: str
    begin: Callable[[Asked], tuple[list[str], dict[str, str]]]
    read: Callable[[Path], Theirs]


def _root(target: Target) -> str:
    return target.url.rstrip("/").removesuffix("/completions").removesuffix("/chat").removesuffix("/v1")


def _body(target: Target) -> dict[str, Any]:
    return {"temperature": 0, **({"ignore_eos": True} if target.ignore_eos else {}), **target.extra_body}


def _vllm(asked: Asked) -> tuple[list[str], dict[str, str]]:
    shape, target = asked.shape, asked.target
    chat = target.api == "chat"
    words = [
        "-P", "-m", "vllm.entrypoints.cli.main", "bench", "serve", "--backend", "openai-chat" if chat else "openai",
        "--base-url", _root(target), "--endpoint", "/v1/chat/completions" if chat else "/v1/completions",
        "--model", target.model, "--tokenizer", str(asked.tokenizer), "--dataset-name", "random",
        "--random-input-len", str(shape.prompt_tok), "--random-output-len", str(shape.output_tok),
        "--random-range-ratio", "0", "--num-prompts", str(shape.requests), "--seed", str(shape.seed),
        "--extra-body", json.dumps(_body(target)), "--save-result", "--save-detailed",
        "--result-dir", str(asked.folder), "--result-filename", RESULT, "--disable-tqdm",
    ]
    if shape.concurrency is not None:
        words += ["--request-rate", "inf", "--max-concurrency", str(shape.concurrency)]
    else:
        words += ["--request-rate", repr(shape.rate_per_s), "--burstiness", repr(shape.cv**-2)]
    return words, {"OPENAI_API_KEY": target.api_key} if target.api_key else {}


def _vllm_read(path: Path) -> Theirs:
    raw = _mapping(read_json(path), path)
    n = raw["completed"]
    gaps = [gap for gaps in raw["itls"] for gap in gaps]
    return Theirs(n, raw["total_input_tokens"] / max(1, n), raw["total_output_tokens"] / max(1, n), {
        "ttft_s": raw["mean_ttft_ms"] / 1e3, "tpot_s": raw["mean_tpot_ms"] / 1e3,
        "gap_s": _mean(gaps), "e2e_s": raw["mean_e2el_ms"] / 1e3 if "mean_e2el_ms" in raw else _mean(raw["latencies"]),
        "output_tok_per_s": raw["output_throughput"],
    })


def _guidellm(asked: Asked) -> tuple[list[str], dict[str, str]]:
    """By a file: its command line would show the key."""
    shape, target = asked.shape, asked.target
    profile = {"kind": "concurrent", "streams": [shape.concurrency]} if shape.concurrency is not None else \
        {"kind": "poisson", "rate": [shape.rate_per_s]}
    config = {
        "backend": {
            "kind": "openai_http", "target": _root(target), "model": target.model, "http2": False,
            "validate_backend": False, "request_format": f"/v1/{'chat/' if target.api == 'chat' else ''}completions",
            "extras": {"body": _body(target)}, **({"api_key": target.api_key} if target.api_key else {}),
        },
        "profile": profile, "constraints": [{"kind": "max_requests", "count": shape.requests}],
        "tokenizer": {"kind": "huggingface_auto", "model": str(asked.tokenizer)},
        "data": [{"kind": "synthetic_text", "prompt_tokens": shape.prompt_tok, "output_tokens": shape.output_tok}],
        "outputs": [{"kind": "json", "path": str(asked.folder / RESULT)}],
    }
    file = asked.folder / "guidellm.json"
    file.touch(0o600)
    file.write_text(json.dumps({"spec": config}), encoding="utf-8")
    return ["-m", "guidellm", "run", "--config", str(file), "--disable-console"], {}


def _guidellm_read(path: Path) -> Theirs:
    raw = _mapping(read_json(path), path)
    text = path.read_text(encoding="utf-8")
    write_text(path, redact(text))  # it repeats its configuration
    bench = raw["benchmarks"][0]
    good = bench["requests"]["successful"]

    def mean(name: str, scale: float = 1.0) -> float | None:
        found = _mean([item[name] for item in good if item[name] is not None])
        return None if found is None else found * scale

    output_tok = sum(item["output_tokens"] or 0 for item in good)
    return Theirs(len(good), mean("prompt_tokens") or 0.0, output_tok / max(1, len(good)), {
        "ttft_s": mean("time_to_first_token_ms", 1e-3), "tpot_s": mean("time_per_output_token_ms", 1e-3),
        "itl_s": mean("inter_token_latency_ms", 1e-3), "e2e_s": mean("request_latency"),
        "output_tok_per_s": output_tok / bench["duration"] if bench["duration"] else None,
    })


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _mapping(raw: Any, path: Path) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise Failure(f"{path.name}: not what the client writes; its version may be another than the one this reads")
    return raw


def remove_secrets(folder: Path) -> None:
    """What a client was told by file."""
    (folder / "guidellm.json").unlink(missing_ok=True)


CLIENTS: Mapping[str, Client] = {
    "vllm": Client("vllm", "vllm", _vllm, _vllm_read),
    "guidellm": Client("guidellm", "guidellm", _guidellm, _guidellm_read),
}
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
         "PATH": os.environ.get("PATH", "/usr/bin:/bin")}
