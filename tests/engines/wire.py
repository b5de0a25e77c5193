"""A server of ours that answers as an engine's documentation says: pages by path, and one streamed completion.

Run as a program (`wire.py KIND ... --port N`) it stands where an engine's own server would be started.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODEL = "m"
VLLM_METRICS = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 1.0
vllm:num_requests_waiting{engine="0",model_name="m"} 2.0
vllm:prompt_tokens_total{engine="0",model_name="m"} 7.0
vllm:generation_tokens_total{engine="0",model_name="m"} 5.0
vllm:cache_config_info{block_size="16",cache_dtype="fp8",enable_prefix_caching="True",num_gpu_blocks="27",x="a}b"} 1.0
"""
SGLANG_METRICS = """\
sglang:num_running_reqs{model_name="m"} 3.0
sglang:num_queue_reqs{model_name="m"} 1.0
sglang:token_usage{model_name="m"} 0.25
"""
TRT_METRICS = 'trtllm_request_success_total{model_name="m"} 4.0\ntrtllm_kv_cache_utilization{model_name="m"} 0.5\n'
Page = tuple[str, str]


def _json(value: Any) -> Page:
    return "application/json", json.dumps(value)


def models(owner: str, **more: Any) -> Page:
    return _json({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": owner, **more}]})


PAGES: dict[str, dict[str, Page]] = {
    "tpu": {
        "/v1/models": models("vllm", max_model_len=2048), "/health": ("text/plain", ""),
        "/version": _json({"version": "0.13.0"}), "/metrics": ("text/plain", VLLM_METRICS),
    },
    "sglang": {  # sglang 0.5.23: /server_info is the server's arguments, as resolved
        "/v1/models": models("sglang", max_model_len=4096), "/health": ("text/plain", ""),
        "/server_info": _json({
            "tp_size": 2, "pp_size": 1, "dp_size": 1, "nnodes": 1, "quantization": "fp8", "kv_cache_dtype": "fp8_e5m2",
            "max_running_requests": 48, "max_prefill_tokens": 16384, "chunked_prefill_size": 8192,
            "context_length": None, "attention_backend": "fa3", "mem_fraction_static": 0.88, "cpu_offload_gb": 0,
            "page_size": 1, "speculative_algorithm": None, "dtype": "auto", "disable_radix_cache": True,
            "max_total_num_tokens": 400_000, "version": "0.5.23", "internal_states": [{}],
        }),
        "/metrics": ("text/plain", SGLANG_METRICS),
    },
    "tensorrt-llm": {  # 1.x: /metrics is a JSON list of iterations, Prometheus' text lies elsewhere
        "/v1/models": models("tensorrt_llm"), "/health": ("text/plain", ""), "/version": _json({"version": "1.1.0"}),
        "/metrics": _json([{"iter": 1, "maxNumActiveRequests": 64,
                            "kvCacheStats": {"maxNumBlocks": 900, "tokensPerBlock": 32, "usedNumBlocks": 3}}]),
        "/prometheus/metrics": ("text/plain", TRT_METRICS),
    },
    "ollama": {
        "/v1/models": models("library"), "/api/version": _json({"version": "0.12.3"}),
        "/api/tags": _json({"models": [{"name": MODEL, "size": 10, "details": {"quantization_level": "Q4_K_M"}}]}),
        "/api/ps": _json({"models": [{"name": MODEL, "size": 1000, "size_vram": 750, "context_length": 8192}]}),
    },
}
PAGES["llama-cpp-python"] = {"/v1/models": models("me", permissions=[])}  # its server has no other page
PAGES["vllm"] = PAGES["tpu"]
PAGES["broken"] = PAGES["tpu"]


def server(kind: str, port: int = 0, key: str = "") -> ThreadingHTTPServer:
    """Not yet serving; `broken` answers without streaming."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _refused(self) -> bool:
            if key and self.path != "/health" and self.headers.get("Authorization") != f"Bearer {key}":
                self._send(401, "application/json", "{}")
                return True
            return False

        def _send(self, status: int, mime: str, body: str) -> None:
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", mime)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            if not self._refused():
                page = PAGES[kind].get(self.path)
                self._send(*((200, *page) if page else (404, "text/plain", "no")))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self._refused():
                self._send(200, "text/event-stream", "".join(_events(kind, int(body["max_tokens"]))))

        def log_message(self, *_: Any) -> None:
            return

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def _events(kind: str, count: int) -> list[str]:
    pieces = ["t "] * count if kind != "broken" else ["t " * count]
    usage = {"prompt_tokens": 3, "completion_tokens": count, "total_tokens": count + 3}
    bodies: list[dict[str, Any]] = [{"choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in pieces]
    bodies += [{"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}, {"choices": [], "usage": usage}]
    return [f"data: {json.dumps(body)}\n\n" for body in bodies] + ["data: [DONE]\n\n"]


def as_program(words: list[str]) -> None:
    """Write down how it was started, then serve; what it was told by a file counts as its arguments too."""
    import os

    kind = os.environ["WIRE_KIND"]
    told = " ".join(words)
    files = [word for word in words if word.endswith((".yaml", ".json"))]
    told += "".join("\n" + Path(name).read_text() for name in files)
    Path(os.environ["WIRE_TOLD"]).write_text(told)
    settings = json.loads(Path(files[0]).read_text()) if files and "port" in Path(files[0]).read_text() else {}
    port = settings.get("port") or int(words[words.index("--port") + 1])
    key = os.environ.get("VLLM_API_KEY") or os.environ.get("API_KEY") or settings.get("api-key", "")
    served = server(kind, port, key)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    as_program(sys.argv[1:])
