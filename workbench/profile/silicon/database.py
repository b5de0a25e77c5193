"""The kernel database behind one setup: milliseconds of the parts of an iteration, and room for KV blocks."""

import re
from collections import defaultdict
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.profile.silicon.offline import OutsideCallError, kept_warnings, no_network
from workbench.profile.silicon.setup import KV_TYPES, QUANTS, Setup, known_quants

PACKAGE = "aiconfigurator_core"
DISTRIBUTION = "aiconfigurator-core"
MEMORY_FRAC = 0.9  # vLLM's gpu_memory_utilization; TensorRT-LLM's free_gpu_memory_fraction
ATTENTION = re.compile(r"attention|attn|mla")
BESIDE_EXPERTS = {"int4": "bfloat16", "mxfp4": "bfloat16"}  # such checkpoints quantise the experts alone
REMARKABLE = re.compile(r"(^|/)(gemm|moe|context_attention|generation_attention|custom_allreduce|nccl)[^/]*\.parquet")
TRIED_TOK = (1, 8, 64, 256, 2048)
Op = tuple[str, float, float, str]  # name, ms, energy, how the database knows it


def load(module: str = "sdk.engine") -> ModuleType:
    """Import a part of the package; where it is missing, one line says how to install it."""
    try:
        return import_module(f"{PACKAGE}.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != PACKAGE:
            raise
        raise Failure(f"profile silicon needs {DISTRIBUTION}: pip install 'inference-workbench[silicon]'") from error


def package_folder() -> Path:
    origin = load("sdk").__file__
    if origin is None:
        raise Failure(f"{DISTRIBUTION} has no files on disk; install it again")
    return Path(origin).parent.parent


class Database:
    """Every question is answered from the package's files; network is refused. Raises Failure for what it lacks."""

    def __init__(self, setup: Setup, *, batched_tok: int, seqs: int) -> None:
        self.setup = setup
        self.sources: defaultdict[str, float] = defaultdict(float)  # decode steps by how the database knows them
        self.estimated: defaultdict[str, float] = defaultdict(float)  # and what no measurement backs, by operation
        with no_network(), kept_warnings(PACKAGE) as self._warnings:
            self.version = str(load("sdk.perf_database").resolve_query_version(setup.gpu, setup.engine, "current"))
            try:
                self._handle = load().EngineHandle.compile(setup.model, setup.gpu, setup.engine, **self._options())
                self.kv: dict[str, Any] = self._kv(batched_tok, seqs)
                self.step(1, 1)
                self.prompt_attention_ms(64, 0)
            except (ValueError, RuntimeError, OutsideCallError) as error:
                raise self._explained(error) from error

    @property
    def kv_tok(self) -> int:
        """Tokens of context that fit, per data-parallel rank."""
        return int(self.kv["total_kv_size_tokens"])

    @property
    def package_version(self) -> str:
        return version(DISTRIBUTION)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Low-fidelity fallbacks among the tables that this kind of model reads; no paths of this machine."""
        found = [re.sub(r"\S*/systems/", "", text) for text in self._warnings if _remarkable(text)]
        return tuple(dict.fromkeys(found))

    def rest_ms(self, tokens: int) -> float:
        """All but attention, of an iteration with so many tokens and prompts in it."""
        return float(self._handle.mixed_step_breakdown(tokens, 0, tokens, 2, 0)[1])

    def step(self, decodes: int, ctx_tok: int) -> tuple[float, float]:
        """(all but attention, attention) of decodes that attend to `ctx_tok` tokens each, in ms."""
        ops: list[Op] = self._handle.decode_step_per_op(decodes, max(0, ctx_tok - 1), 1)
        total, attention = sum(item[1] for item in ops), _attention(ops)
        for name, ms, _, source in ops:
            self.sources[source] += ms / total
            if source != "silicon" and ms:
                self.estimated[name.removeprefix("generation_")] += ms / total
        return total - attention, attention

    def prompt_attention_ms(self, new_tok: int, past_tok: int, prompts: int = 1) -> float:
        """Attention of that many prompt pieces alike."""
        context, _ = self._handle.run_static_per_op(
            batch_size=prompts, isl=new_tok + past_tok, osl=1, prefix=past_tok, mode="static_ctx")
        return _attention(context)

    def slower_than_bf16(self) -> float:
        """By what factor, at worst over small and large iterations, these formats come out slower than bf16 would;
        0 where the database cannot say. A format with fewer bits that is slower was measured on untuned kernels."""
        plain = {**self._options(), "gemm_quant_mode": "bfloat16", "moe_quant_mode": "bfloat16"}
        with no_network(), kept_warnings(PACKAGE):
            try:
                setup = self.setup
                other = load().EngineHandle.compile(setup.model, setup.gpu, setup.engine, **plain)
                return max(self.rest_ms(n) / float(other.mixed_step_breakdown(n, 0, n, 2, 0)[1]) for n in TRIED_TOK)
            except (ValueError, RuntimeError, OutsideCallError):
                return 0.0

    def mixed_ms(self, new_tok: int, decodes: int) -> float:
        """The database's own sum for one whole prompt beside decodes of about its length."""
        return float(self._handle.mixed_step_latency(new_tok, decodes, new_tok, 2))

    @property
    def formats(self) -> dict[str, str]:
        """The database's names of how weights are held: dense layers, and experts where there are some."""
        options = self._options()
        return {"dense": options["gemm_quant_mode"]} | (
            {"experts": options["moe_quant_mode"]} if self.setup.experts else {})

    def _options(self) -> dict[str, Any]:
        setup, split = self.setup, self.setup.parallel
        dense, expert = QUANTS[setup.quant]
        options: dict[str, Any] = {
            "backend_version": self.version, "tp_size": split.tp, "pp_size": split.pp, "gemm_quant_mode": dense,
            "kvcache_quant_mode": KV_TYPES[setup.kv_type], "fmha_quant_mode": "bfloat16",
        }
        if setup.experts:
            options["gemm_quant_mode"] = BESIDE_EXPERTS.get(setup.quant, dense)
            options |= {"attention_dp_size": split.dp, "moe_ep_size": split.ep,
                        "moe_tp_size": split.tp * split.dp // split.ep, "moe_quant_mode": expert}
        return options

    def _kv(self, batched_tok: int, seqs: int) -> dict[str, Any]:
        kind = "of_free" if self.setup.engine == "trtllm" else "of_total"
        found: dict[str, Any] = load("sdk.memory").estimate_kv_cache(
            self.setup.model, self.setup.gpu, self.setup.engine, max_num_tokens=batched_tok, max_batch_size=seqs,
            memory_fraction_kind=kind, memory_fraction_value=MEMORY_FRAC, **self._options())
        return found

    def _explained(self, error: Exception) -> UsageError:
        """The package's complaint in one line, without paths of this machine, with what to do."""
        setup, split = self.setup, self.setup.parallel
        text = " ".join(re.sub(r" at /\S*/systems/data/", " in ", str(error)).split())
        if "no KV budget" in text:
            return UsageError(f"{setup}: does not fit, the weights leave no room for the KV cache; "
                              "more GPUs (--tp), or fewer bits (--quant)")
        if "Invalid quantized MoE" in text:
            return UsageError(f"{setup}: its {setup.quant} experts do not split {split.tp * split.dp // split.ep} ways "
                              f"by tensor ({text.rstrip('. ')}); use --ep {split.tp * split.dp}")
        known = known_quants(package_folder(), setup, self.version)
        if setup.quant not in known:
            return UsageError(f"--quant {setup.quant!r}: not measured on {setup.gpu} with {setup.engine} "
                              f"{self.version}; known there: {', '.join(known) or 'none'}")
        return UsageError(f"{setup}: not in the kernel database: {text[:300]}")


def _attention(ops: Iterable[Op]) -> float:
    found = [ms for name, ms, _, _ in ops if ATTENTION.search(name)]
    if not found:
        raise RuntimeError("its attention cannot be told from the rest")
    return sum(found)


def _remarkable(text: str) -> bool:
    return REMARKABLE.search(text) is not None if ".parquet" in text else "lane_order" not in text
