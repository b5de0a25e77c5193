"""What an engine states about itself, and what decides how it batches. One frozen record per engine."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, get_args

from workbench.errors import UsageError

Order = Literal["fcfs", "priority"]
Batching = Literal["continuous", "static"]
KvReserve = Literal["paged", "contiguous"]


@dataclass(frozen=True, slots=True)
class LlamaCppRules:
    """llama.cpp's server: slots, each with a KV cache of its own unless `kv_unified`.

    `used_slots` are the slots that served something before the run, least recently used first: an engine
    that answered a warm-up request does not begin with the highest slot.
    """

    slots: int = 4
    n_batch: int = 512  # tokens in one iteration
    n_ubatch: int = 512  # tokens in one pass of the compute graph
    ctx_per_slot_tok: int = 4096
    kv_unified: bool = False
    used_slots: tuple[int, ...] = ()

    engine = "llama.cpp"

    def __post_init__(self) -> None:
        _whole(self, 1, "slots", "n_batch", "n_ubatch", "ctx_per_slot_tok")
        _flags(self, "kv_unified")
        if self.n_batch < self.slots:
            raise UsageError(f"n_batch {self.n_batch} is less than slots {self.slots}: a batch must hold every slot")
        if len(set(self.used_slots)) < len(self.used_slots) or not set(self.used_slots) <= set(range(self.slots)):
            raise UsageError(f"used_slots {self.used_slots}: name each slot of 0 to {self.slots - 1} at most once")

    @property
    def max_running(self) -> int:
        return self.slots


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmRules:
    """vLLM v1 (0.19): a token budget an iteration, chunked prefill, block-wise KV with prefix hits.

    With `ranks` above 1 every limit is that of one rank: each has a scheduler and a KV cache of its own, and all
    step together. `order` other than fcfs, `batching` other than continuous and `kv_reserve` other than paged
    are *simulation only*: vLLM offers priority, but no front door here sends one, and the others are older ways.
    """

    kv_blocks: int  # usable blocks: vLLM keeps one of its `num_gpu_blocks` as the null block
    block_tok: int = 16
    max_num_seqs: int = 128
    max_num_batched_tokens: int = 2048
    max_model_len_tok: int | None = None
    chunked_prefill: bool = True
    reserve_full_prompt: bool = True  # admit only what fits whole (vLLM's scheduler_reserve_full_isl)
    async_scheduling: bool = False  # an iteration is composed when the one before it begins
    prefix_caching: bool = False
    order: Order = "fcfs"
    batching: Batching = "continuous"
    kv_reserve: KvReserve = "paged"
    draft_tok: int = 0  # drafted for each decode (speculative decoding)
    acceptance: float = 0.0  # chance that a drafted token is right, given that all before it were
    seed: int = 0  # of the acceptance draws
    ranks: int = 1  # lock-step data-parallel ranks that share their experts
    host_blocks: int = 0  # KV offload: room in host memory for evicted prefix blocks
    kv_block_bytes: int = 0  # of one block on all its GPUs
    host_bytes_per_s: float = 0.0  # host to GPU

    engine = "vllm"

    def __post_init__(self) -> None:
        _whole(self, 1, "kv_blocks", "max_num_seqs", "max_num_batched_tokens", "block_tok", "ranks")
        _whole(self, 0, "draft_tok", "host_blocks", "kv_block_bytes", "seed")
        if self.max_model_len_tok is not None:
            _whole(self, 1, "max_model_len_tok")
        _flags(self, "chunked_prefill", "reserve_full_prompt", "async_scheduling", "prefix_caching")
        _numbers(self, "acceptance", "host_bytes_per_s")
        _among(self, "order", get_args(Order))
        _among(self, "batching", get_args(Batching))
        _among(self, "kv_reserve", get_args(KvReserve))
        if not 0.0 <= self.acceptance <= 1.0:
            raise UsageError(f"vllm: acceptance is {self.acceptance!r}; it is a fraction of 0 to 1")
        if self.prefix_caching and self.kv_reserve == "contiguous":
            raise UsageError("vllm: prefix_caching needs kv_reserve 'paged': contiguous memory is not shared")
        if self.host_blocks and not (self.prefix_caching and self.kv_block_bytes and self.host_bytes_per_s > 0):
            raise UsageError("vllm: host_blocks needs prefix_caching, kv_block_bytes and host_bytes_per_s as well")

    @property
    def max_running(self) -> int:
        return self.max_num_seqs * self.ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class DisaggregatedRules:
    """vLLM engines in two pools: one computes prompts, the other decodes. A prompt's keys and values travel once.

    As facts: what both pools share beside `prefill` and `decode`, each of which overrides it.
    """

    prefill: VllmRules
    decode: VllmRules
    prefill_n: int = 1
    decode_n: int = 1
    kv_bytes_per_tok: int
    link_bytes_per_s: float  # out of one prefill engine
    link_latency_ns: int = 0

    engine = "vllm-disaggregated"

    def __post_init__(self) -> None:
        _whole(self, 1, "prefill_n", "decode_n", "kv_bytes_per_tok")
        _whole(self, 0, "link_latency_ns")
        _numbers(self, "link_bytes_per_s")
        if not self.link_bytes_per_s > 0:
            raise UsageError(f"{self.engine}: link_bytes_per_s is {self.link_bytes_per_s!r}; it must be above 0")
        if self.prefill.ranks * self.decode.ranks > 1:
            raise UsageError(f"{self.engine}: ranks above 1 are not simulated in a pool; use more engines")

    @property
    def max_running(self) -> int:
        return self.prefill.max_running * self.prefill_n + self.decode.max_running * self.decode_n


EngineRules = LlamaCppRules | VllmRules  # of one engine
Rules = EngineRules | DisaggregatedRules
_KINDS: dict[str, type[LlamaCppRules] | type[VllmRules] | type[DisaggregatedRules]] = {
    "llama.cpp": LlamaCppRules, "vllm": VllmRules, "vllm-disaggregated": DisaggregatedRules,
}
_POOLS = ("prefill", "decode")


def from_facts(facts: Mapping[str, Any]) -> Rules:
    """The rules from an engine's facts: `engine` names the kind; facts that decide no batching are left out.

    A fact may be a plain value or a record of asked and seen; what was seen counts. Raises UsageError.
    """
    kind = _kind(facts)
    known = {key: _seen(facts[key]) for key in kind.__dataclass_fields__ if key in facts and key not in _POOLS}
    if kind is DisaggregatedRules:
        known |= {pool: _pool(facts, pool) for pool in _POOLS}
    kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in known.items() if v is not None}
    for item in fields(kind):
        if item.default is MISSING and item.name not in kept:
            raise UsageError(f"{kind.engine}: {item.name} is not known; set rules.{item.name}, the engine reports it "
                             "at start, `workbench profile` derives it from memory")
    return kind(**kept)


def _pool(facts: Mapping[str, Any], pool: str) -> Rules:
    try:
        return from_facts({**facts, **facts.get(pool, {}), "engine": "vllm"})
    except UsageError as error:
        raise UsageError(f"{pool} pool: {error}") from None


def simulation_only(rules: Rules) -> tuple[str, ...]:
    """Options in use that no engine here is run with, as `name=value`: what comes out holds for the simulator alone."""
    if isinstance(rules, DisaggregatedRules):
        return tuple(f"{pool}.{text}" for pool in _POOLS for text in simulation_only(getattr(rules, pool)))
    if isinstance(rules, LlamaCppRules):
        return ()
    own = {"order": "fcfs", "batching": "continuous", "kv_reserve": "paged"}
    return tuple(f"{name}={getattr(rules, name)}" for name, usual in own.items() if getattr(rules, name) != usual)


def as_facts(rules: Rules) -> dict[str, Any]:
    """Plain JSON values, such that `from_facts(as_facts(rules)) == rules`."""
    values = {key: getattr(rules, key) for key in rules.__dataclass_fields__}
    if isinstance(rules, DisaggregatedRules):
        values |= {pool: as_facts(getattr(rules, pool)) for pool in _POOLS}
    return {"engine": rules.engine} | {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def names(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """What can be set for the engine that these facts name."""
    kind = _kind(facts)
    both = VllmRules.__dataclass_fields__ if kind is DisaggregatedRules else ()
    return ("engine", *kind.__dataclass_fields__, *both)


def _kind(facts: Mapping[str, Any]) -> type[LlamaCppRules] | type[VllmRules] | type[DisaggregatedRules]:
    kind = _KINDS.get(str(facts.get("engine", "llama.cpp")))
    if kind is None:
        raise UsageError(f"engine {facts['engine']!r} has no batching rules here; known: {', '.join(_KINDS)}")
    return kind


def _seen(fact: Any) -> Any:
    if isinstance(fact, Mapping):
        return fact.get("seen") if fact.get("seen") is not None else fact.get("asked")
    return fact


def _whole(rules: Rules, least: int, *names: str) -> None:
    for name in names:
        value = getattr(rules, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UsageError(f"{rules.engine}: {name} is {value!r}; it must be a whole number of at least {least}")


def _flags(rules: Rules, *names: str) -> None:
    for name in names:
        if not isinstance(getattr(rules, name), bool):
            raise UsageError(f"{rules.engine}: {name} is {getattr(rules, name)!r}; it must be true or false")


def _numbers(rules: Rules, *names: str) -> None:
    for name in names:
        value = getattr(rules, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise UsageError(f"{rules.engine}: {name} is {value!r}; it must be a finite number of at least 0")


def _among(rules: Rules, name: str, known: tuple[str, ...]) -> None:
    if getattr(rules, name) not in known:
        raise UsageError(f"{rules.engine}: {name} is {getattr(rules, name)!r}; known: {', '.join(known)}")
