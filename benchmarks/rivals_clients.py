"""How each load generator is told what to send, and where it says what it saw."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOKENS, PROMPT_TOK = 64, 5


@dataclass(frozen=True, slots=True)
class Load:
    """n requests of 64 tokens: evenly spaced at `rate_rps`, or so many `streams` at all times."""

    port: int
    n: int
    rate_rps: float | None
    streams: int | None
    tokenizer: Path  # a Hugging Face folder
    folder: Path  # for what is written; new for each run
    chat: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def path(self) -> str:
        return "/v1/chat/completions" if self.chat else "/v1/completions"


@dataclass(frozen=True, slots=True)
class Reading:
    """What a client says: answers that were well, mean TTFT, mean time per token after the first."""

    ok: int
    ttft_s: float
    tpot_s: float
    worker_mib: float | None = None
    failed: int | None = None
    e2e_s: float | None = None
    most_gap_s: float | None = None
    output_tok: float | None = None  # of an answer, on average


@dataclass(frozen=True, slots=True)
class Client:
    """`package` names the distribution whose version counts, `program` is in its environment's bin."""

    name: str
    package: str
    program: str
    arguments: Callable[[Load], list[str]]
    read: Callable[[Load], Reading]
    offline: bool = True  # told that there is no hub; some then refuse a tokenizer's folder


def _written(load: Load, text: str, name: str) -> str:
    path = load.folder / name
    path.write_text(text)
    return str(path)


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def _ours(load: Load) -> list[str]:
    closed = f"concurrency = {load.streams}\n" if load.streams else ""
    arrivals = '{ kind = "closed" }' if load.streams else f'{{ kind = "fixed", rate_per_s = {load.rate_rps} }}'
    spec = f"""{closed}[target]
url = "{load.url}"
model = "truth"
tokenizer = "{load.tokenizer / 'tokenizer.json'}"
[workload]
requests = {load.n}
arrivals = {arrivals}
prompt_tok = {{ kind = "fixed", tok = {PROMPT_TOK} }}
output_tok = {{ kind = "fixed", tok = {TOKENS} }}
"""
    return ["bench", _written(load, spec, "bench.toml"), "--out", str(load.folder / "run"), "--json"]


def _read_ours(load: Load) -> Reading:
    found = _json(load.folder / "run" / "summary.json")
    means = {name: found["metrics"][name]["mean"]["measured"] for name in ("ttft_s", "tpot_s")}
    return Reading(found["outcomes"]["ok"], worker_mib=found["client"].get("rss_mib"), **means)


def _vllm(load: Load) -> list[str]:
    pace = (["--max-concurrency", str(load.streams)] if load.streams
            else ["--request-rate", str(load.rate_rps), "--burstiness", "1e9"])  # that even, they do not vary
    return ["bench", "serve", "--backend", "openai-chat" if load.chat else "openai", "--base-url", load.url,
            "--endpoint", load.path, "--percentile-metrics", "ttft,tpot,itl,e2el", "--metric-percentiles", "100",
            "--model", "truth", "--tokenizer",
            str(load.tokenizer), "--dataset-name", "random", "--random-input-len", str(PROMPT_TOK),
            "--random-output-len", str(TOKENS), "--num-prompts", str(load.n), *pace, "--save-result", "--result-dir",
            str(load.folder), "--result-filename", "found.json", "--disable-tqdm"]


def _read_vllm(load: Load) -> Reading:
    found = _json(load.folder / "found.json")
    return Reading(
        found["completed"], found["mean_ttft_ms"] / 1e3, found["mean_tpot_ms"] / 1e3, failed=found.get("failed"),
        e2e_s=found["mean_e2el_ms"] / 1e3, most_gap_s=found["p100_itl_ms"] / 1e3,
        output_tok=found["total_output_tokens"] / max(found["completed"], 1))


def _guidellm(load: Load) -> list[str]:
    profile = (f"kind=concurrent,streams={load.streams}" if load.streams
               else f"kind=constant,rate={load.rate_rps}")
    return ["run", "--backend", f"kind=openai_http,target={load.url},model=truth,request_format={load.path}",
            "--profile", profile, "--constraint", f"kind=max_requests,count={load.n}", "--tokenizer",
            f"kind=hf_auto,model={load.tokenizer}", "--data",
            f"kind=synthetic_text,prompt_tokens={PROMPT_TOK},output_tokens={TOKENS}", "--output",
            f"kind=json,path={load.folder / 'found.json'}", "--disable-console"]


def _read_guidellm(load: Load) -> Reading:
    """Its time per output token includes the first token; its inter-token latency is what others call TPOT."""
    found = _json(load.folder / "found.json")["benchmarks"][0]["metrics"]
    ttft, gap = (found[name]["successful"]["mean"] for name in ("time_to_first_token_ms", "inter_token_latency_ms"))
    good = {name: found[name]["successful"] for name in ("request_latency", "inter_token_latency_ms",
                                                         "output_token_count")}
    return Reading(
        found["request_totals"]["successful"], ttft / 1e3, gap / 1e3, failed=found["request_totals"]["errored"],
        e2e_s=good["request_latency"]["mean"], most_gap_s=good["inter_token_latency_ms"]["max"] / 1e3,
        output_tok=good["output_token_count"]["mean"])


def _aiperf(load: Load) -> list[str]:
    pace = (["--concurrency", str(load.streams)] if load.streams
            else ["--request-rate", str(load.rate_rps), "--arrival-pattern", "constant"])
    return ["profile", "--model", "truth", "--url", load.url, "--endpoint-type",
            "chat" if load.chat else "completions", "--streaming", *pace,
            "--request-count", str(load.n), "--tokenizer", str(load.tokenizer), "--isl", str(PROMPT_TOK), "--osl",
            str(TOKENS), "--artifact-dir", str(load.folder), "--use-server-token-count", "--export-level", "summary",
            "--ui", "none"]


def _read_aiperf(load: Load) -> Reading:
    found = _json(load.folder / "profile_export_aiperf.json")
    gaps = found.get("inter_chunk_latency") or {}
    return Reading(
        round(found["request_count"]["avg"]), found["time_to_first_token"]["avg"] / 1e3,
        found["inter_token_latency"]["avg"] / 1e3, failed=round((found.get("error_request_count") or {}).get("avg", 0)),
        e2e_s=found["request_latency"]["avg"] / 1e3, most_gap_s=gaps["max"] / 1e3 if gaps else None,
        output_tok=found["output_sequence_length"]["avg"])


def _inference_perf(load: Load) -> list[str]:
    if load.streams:
        pace = {"type": "concurrent", "num_workers": 1,
                "stages": [{"concurrency_level": load.streams, "num_requests": load.n}]}
    else:
        pace = {"type": "constant", "num_workers": 1,
                "stages": [{"rate": load.rate_rps, "duration": round(load.n / (load.rate_rps or 1))}]}
    length = {"std_dev": 0, "total_count": load.n}
    drawn = {"type": "random",
             "input_distribution": dict.fromkeys(("min", "max", "mean"), PROMPT_TOK) | length,
             "output_distribution": dict.fromkeys(("min", "max", "mean"), TOKENS) | length}
    spec = {"load": pace, "api": {"type": "chat" if load.chat else "completion", "streaming": True},
            "server": {"type": "vllm", "model_name": "truth", "base_url": load.url, "ignore_eos": True},
            "tokenizer": {"pretrained_model_name_or_path": str(load.tokenizer)},
            "data": {"type": "mock"} if load.chat else drawn,  # its drawn lengths are for completions only
            "report": {"request_lifecycle": {"summary": True, "per_stage": False, "per_request": False}},
            "storage": {"local_storage": {"path": str(load.folder / "found")}}}
    return ["--config_file", _written(load, json.dumps(spec), "spec.yml")]  # JSON is YAML


def _read_inference_perf(load: Load) -> Reading:
    """Its time per token counts by the local tokenizer; where 64 are known to come, its latencies say it better."""
    whole = _json(load.folder / "found" / "summary_lifecycle_metrics.json")
    found = whole["successes"]
    ttft_s, whole_s = (found["latency"][name]["mean"] for name in ("time_to_first_token", "request_latency"))
    own_s = found["latency"]["time_per_output_token"]["mean"]
    tpot_s = own_s if load.chat else (whole_s - ttft_s) / (TOKENS - 1)
    return Reading(found["count"], ttft_s, tpot_s, failed=whole["failures"]["count"], e2e_s=whole_s,
                   most_gap_s=found["latency"]["inter_token_latency"]["max"],
                   output_tok=(found.get("output_len") or {}).get("mean"))


CLIENTS = (
    Client("workbench bench", "inference-workbench", "workbench", _ours, _read_ours),
    Client("vllm bench serve", "vllm", "vllm", _vllm, _read_vllm),
    Client("guidellm", "guidellm", "guidellm", _guidellm, _read_guidellm),
    Client("aiperf", "aiperf", "aiperf", _aiperf, _read_aiperf, offline=False),
    Client("inference-perf", "inference-perf", "inference-perf", _inference_perf, _read_inference_perf),
)


def installed(client: Client, envs: Path) -> tuple[Path, str] | None:
    """(its program, its version), ours in the environment that runs this, another's in one under `envs`."""
    ours = Path(sys.prefix) / "bin" / client.program
    places = [ours] if client is CLIENTS[0] else sorted(envs.glob(f"*/bin/{client.program}"))
    for program in places:
        if program.exists():
            ask = f"from importlib.metadata import version; print(version({client.package!r}))"
            said = subprocess.run([str(program.with_name("python")), "-c", ask], capture_output=True, text=True,
                                  check=False)
            return program, said.stdout.strip() or "unknown"
    return None


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
