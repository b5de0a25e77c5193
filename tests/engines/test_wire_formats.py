"""Engines that cannot run here, against a server of ours that answers as their documentation says."""

import json
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wire

import engines
from engines import own
from engines.record import Command, Start
from workbench.errors import ConfigError, Failure
from workbench.flows.engine_check import check

Meet = Callable[[str], str]


@pytest.fixture
def serve() -> Iterator[Meet]:
    """Start a wire server of a kind; its URL."""
    running = []

    def begin(kind: str) -> str:
        server = wire.server(kind)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield begin
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


SEEN: dict[str, dict[str, tuple[Any, str]]] = {
    "tpu": {"version": ("0.13.0", "/version"), "ctx_tok": (2048, "/v1/models"), "block_tok": (16, "/metrics"),
            "kv_blocks": (27, "/metrics"), "kv_type": ("fp8", "/metrics"), "prefix_caching": (True, "/metrics")},
    "sglang": {"tp": (2, "/server_info"), "quant": ("fp8", "/server_info"), "max_seqs": (48, "/server_info"),
               "prefix_caching": (False, "/server_info"), "chunked_prefill": (True, "/server_info"),
               "attention": ("fa3", "/server_info"), "kv_tok": (400_000, "/server_info"),
               "version": ("0.5.23", "/server_info")},
    "tensorrt-llm": {"version": ("1.1.0", "/version"), "max_seqs": (64, "/metrics"), "kv_blocks": (900, "/metrics"),
                     "block_tok": (32, "/metrics")},
    "ollama": {"version": ("0.12.3", "/api/version"), "quant": ("Q4_K_M", "/api/tags"), "ctx_tok": (8192, "/api/ps"),
               "on_gpu_frac": (0.75, "/api/ps")},
}
COUNTED: dict[str, dict[str, float]] = {
    "tpu": {"running": 1.0, "waiting": 2.0, "prompt_tok": 7.0, "generated_tok": 5.0},
    "sglang": {"running": 3.0, "waiting": 1.0, "kv_used_frac": 0.25},
    "tensorrt-llm": {"requests": 4.0, "kv_used_frac": 0.5},
    "ollama": {},
}
SEEN["vllm"], COUNTED["vllm"] = SEEN["tpu"], COUNTED["tpu"]


@pytest.mark.parametrize("name", SEEN)
def test_it_is_met_streams_and_tells_what_its_documentation_says(name: str, serve: Meet) -> None:
    told = check(engines.find(name), options={"url": serve(name)})
    facts = told["facts"]
    for fact, (value, via) in SEEN[name].items():
        assert (facts[fact]["seen"], facts[fact]["seen_via"]) == (value, via), fact
    assert told["metrics"] == COUNTED[name]
    assert told["version"] == SEEN[name]["version"][0]
    assert (told["pieces"], told["output_tok"], told["finish_reason"]) == (16, 16, "length")


def test_what_was_asked_of_an_endpoint_stands_beside_what_it_tells(serve: Meet, tmp_path: Path) -> None:
    options = {"url": serve("sglang"), "tp": 4, "quant": "fp8", "ctx_tok": 4096, "nodes": 1}
    facts = engines.launch("sglang", None, options, log_dir=tmp_path).facts
    assert facts["tp"] == engines.Fact(4, 2, "/server_info")  # the endpoint decided otherwise, and it shows
    assert facts["quant"] == engines.Fact("fp8", "fp8", "/server_info")
    assert facts["nodes"] == engines.Fact(1, 1, "/server_info")
    assert facts["ctx_tok"].asked == 4096
    with pytest.raises(ConfigError, match="gpu_layers: 8: sglang refuses it"):
        engines.launch("sglang", None, options | {"gpu_layers": 8}, log_dir=tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'quant'"):
        engines.launch("sglang", None, options | {"quan": 8}, log_dir=tmp_path)


def test_an_endpoint_without_an_address_is_asked_for_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="url: required key is missing"):
        engines.launch("tpu", None, {"tp": 8}, log_dir=tmp_path)


def test_one_piece_is_no_stream(serve: Meet) -> None:
    with pytest.raises(Failure, match="does not stream: 1 pieces"):
        check(engines.find("tpu"), options={"url": serve("broken")})


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """An environment whose Python is the wire server: what an engine would have been told is written to a file."""

    def make(name: str) -> Path:
        monkeypatch.setenv("WORKBENCH_ENGINES", str(tmp_path / "envs"))
        folder, told = own.folder(name) / "bin", tmp_path / "told.txt"
        folder.mkdir(parents=True)
        program = Path(wire.__file__).resolve()
        script = (f"#!/bin/sh\nWIRE_KIND={name} WIRE_TOLD={told} PYTHONPATH= exec {sys.executable} {program} \"$@\"\n")
        for called in ("python", "trtllm-serve"):
            (folder / called).write_text(script)
            (folder / called).chmod(0o755)
        own.Installed(name, "9.9", "", "3.11", 1, 0.0).write(own.folder(name))
        return told

    return make


@pytest.mark.parametrize("name", ["vllm", "sglang", "tensorrt-llm"])
def test_it_is_started_with_what_was_asked_and_leaves_nothing(
    name: str, stand_in: Callable[[str], Path], tmp_path: Path
) -> None:
    told, model = stand_in(name), tmp_path / wire.MODEL
    model.mkdir()
    options: dict[str, Any] = {"max_seqs": 7, "ctx_tok": 777, "speculative": {"method": "ngram", "tokens": 3},
                               "tp": 2, "prefix_caching": True, "chunked_prefill": True}
    with engines.launch(name, model, options, log_dir=tmp_path / "logs") as running:
        text = told.read_text()
        assert running.facts["version"].seen == SEEN[name]["version"][0]
        assert running.facts["tp"].asked == 2
        scratch = running.process.scratch if running.process else None
        assert scratch is not None
        assert stat.S_IMODE(os.stat(scratch).st_mode) == 0o700
    assert not scratch.exists()
    flags = text.splitlines()[0]
    assert running.api_key is not None
    assert running.api_key not in flags  # a command line is everybody's
    for word in ("777", "127.0.0.1"):
        assert word in text
    names = {"vllm": ["--max-num-seqs 7", "--tensor-parallel-size 2", "--enable-prefix-caching",
                      "--enable-chunked-prefill", '"num_speculative_tokens": 3'],
             "sglang": ['"max-running-requests": 7', '"tensor-parallel-size": 2', '"speculative-algorithm": "NGRAM"'],
             "tensorrt-llm": ["--max_batch_size 7", "--tp_size 2", '"enable_block_reuse": true',
                              '"decoding_type": "NGram"']}
    for word in names[name]:
        assert word in text, word


def test_llama_cpp_python_is_started_checked_and_stopped(stand_in: Callable[[str], Path]) -> None:
    told = stand_in("llama-cpp-python")
    done = check(engines.find("llama-cpp-python"), options={"ctx_tok": 777, "gpu_layers": 5, "kv_type": "q8_0",
                                                            "flash_attention": True})
    flags = told.read_text()
    for word in ("-m llama_cpp.server", "--n_ctx 777", "--n_gpu_layers 5", "--type_k 8", "--host 127.0.0.1", ".gguf"):
        assert word in flags, word
    assert (done["pieces"], done["output_tok"], done["left_behind"]) == (16, 16, [])
    assert (done["facts"]["max_seqs"]["seen"], done["facts"]["ctx_tok"]["seen"]) == (1, None)  # null: it does not tell


def test_a_server_that_dies_at_start_is_one_line_with_its_last_words(
    stand_in: Callable[[str], Path], tmp_path: Path
) -> None:
    stand_in("vllm")
    own.python("vllm").write_text("#!/bin/sh\necho 'RuntimeError: no GPU found' >&2\nexit 3\n")
    model = tmp_path / wire.MODEL
    model.mkdir()
    with pytest.raises(Failure, match=r"engine 'vllm' ended at start \(exit code 3\); its last words: .*no GPU found"):
        engines.launch("vllm", model, {}, log_dir=tmp_path / "logs")
    own.python("vllm").write_text("#!/bin/sh\nexec sleep 600\n")
    with pytest.raises(Failure, match=r"engine 'vllm' does not answer /health; it wrote nothing$"):
        engines.launch("vllm", model, {}, log_dir=tmp_path / "logs", timeout_s=0.5)


def test_the_key_of_sglang_lies_in_a_file_that_only_we_read(tmp_path: Path) -> None:
    record = engines.find("sglang")
    assert record.command is not None
    asked = record.options.model_validate({"chunked_prefill": False})
    command: Command = record.command(Start("/m", "m", "127.0.0.1", 1, "key-1", asked, tmp_path))
    path = Path(command.arguments[-1])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    given = json.loads(path.read_text())
    assert given["api-key"] == "key-1"
    assert given["chunked-prefill-size"] == -1
    assert given["disable-radix-cache"] is True
    assert "key-1" not in " ".join(command.arguments) + repr(command)
