"""What llama.cpp itself reports at start, buffer by buffer, against what is derived for the same model and options."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.hardware.llama_cpp_memory import compute_buffer_bytes, kv_cache_bytes
from workbench.hardware.model_config import from_config
from workbench.models import convert_to_file
from workbench.paths import datasets

MIB = 1 << 20
SERVE = """
import signal, sys
import xllamacpp as x
path, slots, context, ubatch, flash, kv = sys.argv[1:]
given = x.CommonParams()
given.model.path, given.verbosity, given.hostnames, given.port = path, 4, ["127.0.0.1"], 0
given.n_parallel, given.n_ctx = int(slots), int(slots) * int(context)
given.n_batch = given.n_ubatch = int(ubatch)
given.warmup = given.fit_params = False
given.cache_ram_mib = 0
given.kv_unified = False
given.cpuparams.n_threads = 1
given.flash_attn_type = getattr(x.llama_flash_attn_type, "LLAMA_FLASH_ATTN_TYPE_" + flash)
given.cache_type_k = given.cache_type_v = getattr(x.ggml_type, "GGML_TYPE_" + kv)
server = x.Server(given)
signal.pause()
"""


def reported(path: Path, *options: str) -> dict[str, float]:
    """MiB of each buffer, as the log of a real server says (its log has its own thread: read until all is said)."""
    found: dict[str, float] = {}
    with subprocess.Popen([sys.executable, "-c", SERVE, str(path), *options], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if hit := re.search(r"CPU\w* (model|KV|compute) buffer size =\s+([\d.]+) MiB", line):
                found[hit[1]] = float(hit[2])
            if len(found) == 3:
                break
        server.kill()
    return found


@pytest.mark.parametrize(("slots", "context", "ubatch", "flash", "kv"), [
    ("4", "4096", "512", "ENABLED", "F16"),
    pytest.param("2", "1000", "256", "DISABLED", "F16", marks=pytest.mark.slow),
    pytest.param("8", "2048", "1024", "ENABLED", "Q8_0", marks=pytest.mark.slow),
])
def test_every_buffer_of_a_real_server(tmp_path: Path, slots: str, context: str, ubatch: str, flash: str,
                                       kv: str) -> None:
    made = convert_to_file("tiny", "F16", tmp_path / "tiny.gguf")
    tiny = from_config(datasets() / "models" / "tiny" / "config.json")
    found = reported(made.path, slots, context, ubatch, flash, kv)
    cache = kv_cache_bytes(tiny, int(context), int(slots), kv, int(ubatch))
    buffer = compute_buffer_bytes(tiny, int(context), int(ubatch), flash_attention=flash == "ENABLED")
    assert cache / MIB == pytest.approx(found["KV"], abs=0.006)  # the log has two digits
    assert buffer / MIB == pytest.approx(found["compute"], rel=0.02)
    assert tiny.weight_bytes("f16") / MIB == pytest.approx(found["model"], rel=0.01)
