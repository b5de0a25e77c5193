"""From a measured run to what the simulator needs: its KV blocks and its link, each with where they are from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import UsageError
from workbench.flows.vllm_limits import instances
from workbench.flows.vllm_run import NS_PER_S, Measured
from workbench.hardware import accelerators
from workbench.hardware.accelerators import GIB
from workbench.hardware.architecture import Architecture
from workbench.hardware.memory import Split, block_bytes, kv_blocks, weight_bytes_per_rank
from workbench.profile.kernels.link import Link
from workbench.profile.kernels.same_model import contradiction

UTILISATION = 0.9  # vLLM's default of gpu_memory_utilization
NULL_BLOCKS = 1  # vLLM keeps one of its blocks for itself
LATENCY_NS = 20_000  # where config.json states no link_latency: what LLMServingSim's runs on PCIe state


@dataclass(frozen=True, slots=True)
class KvBlocks:
    """`reported` as the engine counts, its null block included. `origin`: measured, given or derived."""

    reported: int
    origin: str
    basis: str

    @property
    def usable(self) -> int:
        return self.reported - NULL_BLOCKS


def find_kv_blocks(
    run: Measured, given: int | None, architecture: Architecture, quant: str, gpu: str
) -> KvBlocks:
    """What the engine reported, else `given`, else derived from memory."""
    cache = run.meta.get("kv_cache")
    resolved = run.meta.get("resolved_config")
    cached = resolved.get("cache_config") if isinstance(resolved, dict) else None
    kwargs = run.meta.get("engine_kwargs")
    for place, key, name in ((cache, "num_gpu_blocks", "kv_cache"), (cached, "num_gpu_blocks", "resolved_config"),
                             (kwargs, "num_gpu_blocks_override", "engine_kwargs"),
                             (run.meta, "num_gpu_blocks", "top level")):
        value = place.get(key) if isinstance(place, dict) else None
        if isinstance(value, int) and not isinstance(value, bool) and value > NULL_BLOCKS:
            return KvBlocks(value, "measured", f"meta.json: {key} ({name})")
    if given is not None:
        return KvBlocks(given, "given", "--kv-blocks")
    return _derived(run, architecture, quant, gpu, kwargs if isinstance(kwargs, dict) else {})


def _derived(run: Measured, architecture: Architecture, quant: str, gpu: str, kwargs: Mapping[str, Any]) -> KvBlocks:
    """Where config.json states another share of the memory than the engine was started with, it is the share that
    weights and KV cache had in that run; else activations and runtime are taken off as vLLM does."""
    limits = run.limits
    memory: Mapping[str, Any] = next(
        (part["npu_mem"] for part in instances(run.config) if isinstance(part.get("npu_mem"), dict)), {})
    asked = kwargs.get("gpu_memory_utilization")
    started = float(asked) if isinstance(asked, int | float) else UTILISATION
    share, size = memory.get("mem_util"), memory.get("mem_size")
    split = Split(tp=limits.tp, ep=limits.tp * limits.ranks if limits.expert_parallel else 1)
    own = kwargs.get("kv_cache_memory_bytes")
    per_block = block_bytes(architecture, split, limits.block_tok, limits.kv_type)
    if isinstance(own, int) and own > 0:
        return KvBlocks(own // per_block, "derived", "kv_cache_memory_bytes of meta.json")
    if isinstance(share, float) and isinstance(size, int | float) and abs(share - started) > 1e-3:
        room = size * GIB * share - weight_bytes_per_rank(architecture, quant, split)
        if room < 2 * per_block:
            raise UsageError(f"config.json: mem_util {share:g} of {size:g} GB leaves no room for a KV cache; "
                             "give --kv-blocks")
        return KvBlocks(int(room // per_block), "derived",
                        f"config.json: {share:g} of {size:g} GiB for weights and KV cache, less the weights")
    accelerator = accelerators.find(gpu)
    found = kv_blocks(
        accelerator, architecture, quant, limits.tp, limits.block_tok, started, ep=split.ep, kv_type=limits.kv_type,
        max_seqs=limits.max_num_seqs, max_batched_tok=limits.max_num_batched_tokens,
    )
    return KvBlocks(found.blocks, "derived", found.basis.removeprefix("derived: "))


def find_link(run: Measured, gpu: str) -> tuple[Link | None, str]:
    """The link between accelerators, from config.json, else from the datasheet."""
    if run.limits.tp * run.limits.ranks == 1:
        return None, "one accelerator"
    speed, latency = run.config.get("link_bw"), run.config.get("link_latency")
    said = isinstance(speed, int | float) and speed > 0
    bytes_per_s = round(float(speed or 0) * 1e9) if said else round(accelerators.find(gpu).link_rate())
    latency_ns = round(float(latency)) if isinstance(latency, int | float) and latency >= 0 else LATENCY_NS
    basis = (f"{'config.json' if said else 'datasheet'}: {bytes_per_s / 1e9:g} GB/s; "
             f"{'config.json' if isinstance(latency, int | float) else 'assumed'}: {latency_ns / NS_PER_S * 1e6:g} us")
    return Link(bytes_per_s=bytes_per_s, latency_ns=latency_ns), basis


def check_run(run: Measured, architecture: Architecture) -> None:
    """Refuses the run of another model, where that is clear from the names that meta.json and config.json state."""
    kwargs = run.meta.get("engine_kwargs")
    stated = [("meta.json", run.meta.get("model"))]
    stated += [("meta.json", kwargs.get("model"))] if isinstance(kwargs, dict) else []
    stated += [("config.json", part.get("model_name")) for part in instances(run.config)]
    for file, name in stated:
        why = contradiction(name, architecture) if isinstance(name, str) and name else None
        if why:
            raise UsageError(f"{architecture.source}: not the model of the measured run, {name} ({file}): {why}; "
                             f"name tables and config.json of {name}")


def gpu_of(run: Measured, perf_gpu: str) -> str:
    """The accelerator that config.json names, else the one of the kernel tables."""
    return next((str(part["hardware"]) for part in instances(run.config) if part.get("hardware")), perf_gpu)
