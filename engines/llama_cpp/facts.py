"""What llama.cpp says about itself: over HTTP where it can, else in the lines it writes when it starts."""

import re
import time
from importlib import metadata
from typing import Any

from engines.record import Look, Seen

LOG = "log at start"
LOG_WAIT_S = 2.0  # its log has a thread of its own, which may lag behind the open port
_NUMBER = {
    "n_batch": re.compile(r"llama_context: n_batch\s+= (\d+)"),
    "n_ubatch": re.compile(r"llama_context: n_ubatch\s+= (\d+)"),
    "threads": re.compile(r"system_info: n_threads = (\d+)"),
}
_KV_TYPE = re.compile(r"llama_kv_cache: size = .*K \((\w+)\):.*V \((\w+)\):")
_KV_CELLS = re.compile(r"llama_kv_cache: size = .*\(\s*(\d+) cells,.*?(\d+)/(\d+) seqs\)")
_UNIFIED = re.compile(r"llama_context: kv_unified\s+= (true|false)")
_FLASH = re.compile(r"[Ff]lash [Aa]ttention (enabled|disabled)|llama_context: flash_attn\s+= (enabled|disabled)")
_HTTP_THREADS = re.compile(r"using (\d+) threads for HTTP server")


def see(look: Look) -> Seen:
    """Facts by the names of the options, and a few that cannot be asked for."""
    seen: dict[str, tuple[Any, str]] = {}
    props, slots = look.get("/props"), look.get("/slots")
    if isinstance(props, dict) and "total_slots" in props:
        seen["slots"] = (props["total_slots"], "/props")
    if isinstance(slots, list) and slots:
        seen["ctx_per_slot_tok"] = (min(int(slot["n_ctx"]) for slot in slots), "/slots")
    seen |= {name: (value, LOG) for name, value in _from_log(_whole_log(look)).items()}
    seen["version"] = (metadata.version("xllamacpp"), "package")
    return seen


def _whole_log(look: Look) -> str:
    deadline = time.monotonic() + LOG_WAIT_S
    while "listening on http" not in (text := look.log) and time.monotonic() < deadline:
        time.sleep(0.01)
    return text


def _from_log(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {name: int(hit[1]) for name, rule in _NUMBER.items() if (hit := rule.search(text))}
    if hit := _KV_TYPE.search(text):
        found["kv_type"] = hit[1] if hit[1] == hit[2] else f"{hit[1]}/{hit[2]}"
    if hit := _KV_CELLS.search(text):
        # cells of one sequence's cache, or of the shared one; the second number of "4/4 seqs" counts the caches
        found["kv_cells"] = int(hit[1])
    if hit := _UNIFIED.search(text):
        found["kv_unified"] = hit[1] == "true"
    if hit := _FLASH.search(text):
        found["flash_attention"] = "on" if "enabled" in hit[0] else "off"
    if hit := _HTTP_THREADS.search(text):
        found["http_threads"] = int(hit[1])
    if "system_info" in text:
        found["warmup"] = "warming up the model" in text
    return found
