"""The child process: `python -m engines.llama_cpp.server CONFIG.json` serves until it is told to stop."""

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any

from engines.contract import announce, read_config
from engines.llama_cpp.options import LlamaCppOptions

VERBOSE, QUIET = 4, 1  # llama.cpp's log levels: everything it says while it loads; later errors only


def params(config: dict[str, Any]) -> Any:
    """xllamacpp's parameters for our configuration."""
    import xllamacpp as x

    options = LlamaCppOptions.model_validate(config["options"])
    given = x.CommonParams()
    given.model.path = config["model_path"]
    given.model_alias = {config["model_name"]}
    given.hostnames = [config["host"]]
    given.port = config["port"]
    given.api_keys = [config["api_key"]]
    given.cors_origins, given.cors_credentials, given.cors_origins_explicit = "", False, True  # answers any origin else
    given.ui, given.offline = False, True
    given.endpoint_metrics = given.endpoint_slots = True
    given.endpoint_props = False  # reading is always on; this would allow writing
    given.verbosity = VERBOSE
    given.n_parallel = options.slots
    given.n_ctx = options.ctx_per_slot_tok * options.slots
    given.n_batch, given.n_ubatch = options.n_batch, options.n_ubatch
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = options.threads
    given.n_threads_http = options.http_threads
    given.cache_type_k = given.cache_type_v = getattr(x.ggml_type, f"GGML_TYPE_{options.kv_type.upper()}")
    given.kv_unified = options.kv_unified
    given.flash_attn_type = getattr(
        x.llama_flash_attn_type,
        "LLAMA_FLASH_ATTN_TYPE_" + {"auto": "AUTO", "on": "ENABLED", "off": "DISABLED"}[options.flash_attention],
    )
    given.warmup = options.warmup
    # What was asked is what runs: no fitting to memory, and no copies of idle slots' state at each admission.
    given.fit_params = False
    given.cache_ram_mib, given.cache_idle_slots = 0, False
    given.slot_prompt_similarity = options.slot_similarity_frac
    if options.gpu_layers is not None:
        given.n_gpu_layers = options.gpu_layers
    if options.speculative is not None:
        _guess(x, given.speculative, options)
    return given


def _guess(x: Any, speculative: Any, options: LlamaCppOptions) -> None:
    """A draft model, or an n-gram of two tokens found in what was said."""
    asked, kinds = options.speculative, x.common_speculative_type
    assert asked is not None
    if asked.model is not None:
        speculative.types = [kinds.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        speculative.draft.mparams.path = str(asked.model.resolve())
        speculative.draft.n_max = asked.tokens
        speculative.draft.cpuparams.n_threads = speculative.draft.cpuparams_batch.n_threads = options.threads
        return
    speculative.types = [kinds.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
    speculative.ngram_simple.size_n, speculative.ngram_simple.size_m = 2, asked.tokens


def hush() -> None:
    """From verbose to errors only, without a restart: the facts are in the log, requests need not be.

    The binding offers no call for it, its library does; a version without that symbol just stays verbose.
    """
    import xllamacpp.xllamacpp

    library = ctypes.CDLL(xllamacpp.xllamacpp.__file__)
    set_threshold = getattr(library, "_Z30common_log_set_verbosity_tholdi", None)  # common_log_set_verbosity_thold(int)
    if set_threshold is not None:
        set_threshold(QUIET)


def main(config: Path) -> int:
    import xllamacpp as x

    asked = read_config(config)
    # from here on the model is called by its name alone: llama.cpp's log repeats it, and logs get around
    os.chdir(Path(asked["model_path"]).parent)
    given = params(asked | {"model_path": Path(asked["model_path"]).name})
    try:
        server = x.Server(given)  # answers from threads of its own
    except RuntimeError as error:
        print(error, file=sys.stderr)  # noqa: T201 (this process's log)
        return 1
    hush()
    announce(server.listening_address)
    while True:
        signal.pause()


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
