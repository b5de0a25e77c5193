"""What an engine states about itself, and what decides how it batches. One frozen record per engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import UsageError


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
        _positive(self, "slots", "n_batch", "n_ubatch", "ctx_per_slot_tok")
        if self.n_batch < self.slots:
            raise UsageError(f"n_batch {self.n_batch} is less than slots {self.slots}: a batch must hold every slot")
        if len(set(self.used_slots)) < len(self.used_slots) or not set(self.used_slots) <= set(range(self.slots)):
            raise UsageError(f"used_slots {self.used_slots}: name each slot of 0 to {self.slots - 1} at most once")

    @property
    def max_running(self) -> int:
        return self.slots


@dataclass(frozen=True, slots=True)
class VllmRules:
    """vLLM v1: a token budget an iteration, chunked prefill, block-wise KV. `kv_blocks` None: never full."""

    max_num_seqs: int = 128
    max_num_batched_tokens: int = 2048
    block_tok: int = 16
    kv_blocks: int | None = None
    max_model_len_tok: int | None = None

    engine = "vllm"

    def __post_init__(self) -> None:
        _positive(self, "max_num_seqs", "max_num_batched_tokens", "block_tok")
        if self.kv_blocks is not None:
            _positive(self, "kv_blocks")

    @property
    def max_running(self) -> int:
        return self.max_num_seqs


Rules = LlamaCppRules | VllmRules
_KINDS: dict[str, type[LlamaCppRules] | type[VllmRules]] = {"llama.cpp": LlamaCppRules, "vllm": VllmRules}


def from_facts(facts: Mapping[str, Any]) -> Rules:
    """The rules from an engine's facts: `engine` names the kind; facts that decide no batching are left out.

    A fact may be a plain value or a record of asked and seen; what was seen counts. Raises UsageError.
    """
    kind = _KINDS.get(str(facts.get("engine", "llama.cpp")))
    if kind is None:
        raise UsageError(f"engine {facts['engine']!r} has no batching rules here; known: {', '.join(_KINDS)}")
    known = {key: _seen(facts[key]) for key in kind.__dataclass_fields__ if key in facts}
    kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in known.items() if v is not None}
    return kind(**kept)


def as_facts(rules: Rules) -> dict[str, Any]:
    """Plain JSON values, such that `from_facts(as_facts(rules)) == rules`."""
    values = {key: getattr(rules, key) for key in rules.__dataclass_fields__}
    return {"engine": rules.engine} | {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def _seen(fact: Any) -> Any:
    if isinstance(fact, Mapping):
        return fact.get("seen") if fact.get("seen") is not None else fact.get("asked")
    return fact


def _positive(rules: Rules, *names: str) -> None:
    for name in names:
        value = getattr(rules, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UsageError(f"{rules.engine}: {name} is {value!r}; it must be a whole number of at least 1")
