"""All logits of a text from llama.cpp itself, in a process of its own: `python -m ... JOB.json OUT.f32`.

The `xllamacpp` wheel carries libllama with its public C functions (include/llama.h); a batch with every token marked
gives exact logits of a whole document in one pass, a hundred times faster than a server asked token by token. Only the
leading fields of llama_context_params are written, and what the library then says of itself is compared with them.
A wrong guess of a layout could kill the process: hence it is not ours.
"""

import ctypes as c
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

F16 = 1  # ggml_type
KV_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "bf16": 30}  # ggml.h
SPARE_BYTES = 1024  # more than either struct of parameters has; passed in memory, the callee reads its own size
KV_SAID = re.compile(r"K \((\w+)\):.*V \((\w+)\):")


class Params(c.Structure):
    """llama_model_params or llama_context_params, whose fields we mostly do not touch."""

    _fields_ = (("words", c.c_uint32 * (SPARE_BYTES // 4)),)


class Batch(c.Structure):
    """llama_batch"""

    _fields_ = (("n_tokens", c.c_int32), ("token", c.POINTER(c.c_int32)), ("embd", c.c_void_p),
                ("pos", c.POINTER(c.c_int32)), ("n_seq_id", c.POINTER(c.c_int32)),
                ("seq_id", c.POINTER(c.POINTER(c.c_int32))), ("logits", c.POINTER(c.c_int8)))


LOG = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)
FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "llama_backend_init": (None, ()), "llama_log_set": (None, (LOG, c.c_void_p)),
    "llama_model_default_params": (Params, ()), "llama_context_default_params": (Params, ()),
    "llama_model_load_from_file": (c.c_void_p, (c.c_char_p, Params)),
    "llama_init_from_model": (c.c_void_p, (c.c_void_p, Params)),
    "llama_model_get_vocab": (c.c_void_p, (c.c_void_p,)), "llama_vocab_n_tokens": (c.c_int32, (c.c_void_p,)),
    "llama_n_ctx": (c.c_uint32, (c.c_void_p,)), "llama_n_batch": (c.c_uint32, (c.c_void_p,)),
    "llama_n_ubatch": (c.c_uint32, (c.c_void_p,)), "llama_set_n_threads": (None, (c.c_void_p, c.c_int32, c.c_int32)),
    "llama_batch_init": (Batch, (c.c_int32, c.c_int32, c.c_int32)), "llama_decode": (c.c_int32, (c.c_void_p, Batch)),
    "llama_get_logits": (c.POINTER(c.c_float), (c.c_void_p,)), "llama_get_memory": (c.c_void_p, (c.c_void_p,)),
    "llama_memory_clear": (None, (c.c_void_p, c.c_bool)),
}


class Refused(Exception):
    """The library is not what this code knows: the server is asked instead."""


class Library:
    """A model in a context of its own, one sequence at a time."""

    def __init__(self, path: str, ctx_tok: int, threads: int, kv_type: str) -> None:
        import xllamacpp.xllamacpp

        self._lib, self._said = c.CDLL(xllamacpp.xllamacpp.__file__), list[str]()
        for name, (result, arguments) in FUNCTIONS.items():
            try:
                function = getattr(self._lib, name)
            except AttributeError:
                raise Refused(f"it has no {name}") from None
            function.restype, function.argtypes = result, arguments
        self._log = LOG(lambda _level, text, _data: self._said.append(text.decode("utf-8", "replace")))  # kept alive
        self._lib.llama_log_set(self._log, None)
        self._lib.llama_backend_init()
        model = self._lib.llama_model_load_from_file(path.encode(), self._lib.llama_model_default_params())
        if not model:
            raise SystemExit(f"the model cannot be loaded: {self._last()}")
        self._context = self._lib.llama_init_from_model(model, self._params(ctx_tok, kv_type))
        if not self._context:
            raise SystemExit(f"no context can be made: {self._last()}")
        self.vocabulary = int(self._lib.llama_vocab_n_tokens(self._lib.llama_model_get_vocab(model)))
        self._check(ctx_tok, kv_type)
        self._lib.llama_set_n_threads(self._context, threads, threads)
        self._batch = self._lib.llama_batch_init(ctx_tok, 0, 1)

    def _params(self, ctx_tok: int, kv_type: str) -> Params:
        """n_ctx, n_batch, n_ubatch lead the struct; the KV types are the only two neighbours that say F16."""
        params: Params = self._lib.llama_context_default_params()
        words = params.words
        words[0] = words[1] = words[2] = ctx_tok
        if kv_type != "f16":
            at = [i for i in range(16, 48) if words[i] == words[i + 1] == F16]
            if len(at) != 1:
                raise Refused("its KV types cannot be found")
            words[at[0]] = words[at[0] + 1] = KV_TYPES[kv_type]
        return params

    def _check(self, ctx_tok: int, kv_type: str) -> None:
        for name in ("llama_n_ctx", "llama_n_batch", "llama_n_ubatch"):
            if getattr(self._lib, name)(self._context) < ctx_tok:
                raise Refused(f"{name} is not what was asked")
        said = KV_SAID.search("".join(self._said))
        if said is None or {said[1], said[2]} != {kv_type}:
            raise Refused(f"its KV cache is not {kv_type}")

    def _last(self) -> str:
        return " | ".join("".join(self._said).strip().splitlines()[-2:])[-400:]

    def logits(self, ids: Sequence[int]) -> Any:
        """Pointer to [len(ids), vocabulary] floats, valid until the next call."""
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self._context), True)
        batch, batch.n_tokens = self._batch, len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
            batch.seq_id[i][0] = 0
        if (code := self._lib.llama_decode(self._context, batch)) != 0:
            raise SystemExit(f"llama_decode gave {code}: {self._last()}")
        return self._lib.llama_get_logits(self._context)


def answer(job: dict[str, Any], out: BinaryIO) -> int:
    """Logits of every token but each document's last, which predicts nothing that came; returns the vocabulary."""
    rows: list[list[int]] = job["rows"]
    library = Library(job["model"], max(map(len, rows)), job["threads"], job["kv_type"])
    for ids in rows:
        if max(ids) >= library.vocabulary:
            raise SystemExit(f"token {max(ids)} is beyond the model's vocabulary of {library.vocabulary}; "
                             "the tokenizer belongs to another model")
        size_bytes = (len(ids) - 1) * library.vocabulary * 4
        out.write(c.string_at(library.logits(ids), size_bytes))
    return library.vocabulary


if __name__ == "__main__":
    with Path(sys.argv[2]).open("wb") as file:
        try:
            print(json.dumps({"vocabulary": answer(json.loads(Path(sys.argv[1]).read_text("utf-8")), file)}))  # noqa: T201
        except Refused as error:
            print(json.dumps({"refused": str(error)}))  # noqa: T201 (its answer)
