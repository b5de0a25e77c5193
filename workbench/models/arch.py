"""The architecture of a Llama-type model, from its config.json or its GGUF metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.files import read_json

SUPPORTED = "LlamaForCausalLM"
LARGEST = 1 << 24  # of any field: keeps every product small when a header lies


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes as in config.json. `context_tok` is the declared context, not the one it was trained on."""

    vocab: int
    hidden: int
    layers: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    context_tok: int
    rope_theta: float
    norm_eps: float
    tied: bool

    @property
    def layer_params(self) -> int:
        attention = self.hidden * self.head_dim * 2 * (self.heads + self.kv_heads)
        return attention + 3 * self.hidden * self.feed_forward + 2 * self.hidden

    @property
    def params(self) -> int:
        tables = 1 if self.tied else 2
        return tables * self.vocab * self.hidden + self.layers * self.layer_params + self.hidden

    def kv_bytes_per_tok(self, value_bytes: float = 2.0) -> float:
        """Keys and values of one token in all layers; 2 bytes a value is F16, 1.0625 is q8_0."""
        return 2 * self.layers * self.kv_heads * self.head_dim * value_bytes


def _size(values: Mapping[str, Any], key: str, file: str, default: int | None = None) -> int:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST:
        raise Failure(f"{file}: {key}: {value!r} is no size; the file is damaged or of another kind")
    return value


def _positive(values: Mapping[str, Any], key: str, file: str, default: float) -> float:
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise Failure(f"{file}: {key}: {value!r} is not a positive number")
    return float(value)


def _checked(found: Architecture, file: str) -> Architecture:
    if found.heads % found.kv_heads:
        raise Failure(f"{file}: {found.heads} heads cannot share {found.kv_heads} KV heads")
    if found.head_dim % 2:
        raise Failure(f"{file}: head dimension {found.head_dim} is odd; rotary positions need pairs")
    return found


def from_config(config: Any, file: str = "config.json") -> Architecture:
    """From a transformers config; anything but a plain Llama is refused by name."""
    if not isinstance(config, dict):
        raise Failure(f"{file}: not a JSON object")
    kinds = config.get("architectures")
    if kinds != [SUPPORTED]:
        raise UsageError(f"{file}: architectures: {kinds!r}; only {SUPPORTED} is read here")
    if config.get("attention_bias") or config.get("mlp_bias"):
        raise UsageError(f"{file}: biases in linear layers are not supported")
    heads, hidden = _size(config, "num_attention_heads", file), _size(config, "hidden_size", file)
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(rope, dict) or rope.get("rope_type", "default") != "default":
        raise UsageError(f"{file}: rotary scaling {rope!r} is not supported")
    return _checked(Architecture(
        vocab=_size(config, "vocab_size", file),
        hidden=hidden,
        layers=_size(config, "num_hidden_layers", file),
        feed_forward=_size(config, "intermediate_size", file),
        heads=heads,
        kv_heads=_size(config, "num_key_value_heads", file, heads),
        head_dim=_size(config, "head_dim", file, hidden // heads),
        context_tok=_size(config, "max_position_embeddings", file),
        rope_theta=_positive(rope or config, "rope_theta", file, 10_000.0),
        norm_eps=_positive(config, "rms_norm_eps", file, 1e-6),
        tied=bool(config.get("tie_word_embeddings", False)),
    ), file)


def from_gguf(metadata: Mapping[str, Any], tensor_names: frozenset[str], file: str) -> Architecture:
    kind = metadata.get("general.architecture")
    if kind != "llama":
        raise UsageError(f"{file}: architecture {kind!r}; only 'llama' is read here")
    prefixed = {key.removeprefix("llama."): value for key, value in metadata.items()}
    heads, hidden = _size(prefixed, "attention.head_count", file), _size(prefixed, "embedding_length", file)
    tokens = metadata.get("tokenizer.ggml.tokens")
    return _checked(Architecture(
        vocab=_size(prefixed, "vocab_size", file, len(tokens) if isinstance(tokens, list) else None),
        hidden=hidden,
        layers=_size(prefixed, "block_count", file),
        feed_forward=_size(prefixed, "feed_forward_length", file),
        heads=heads,
        kv_heads=_size(prefixed, "attention.head_count_kv", file, heads),
        head_dim=_size(prefixed, "attention.key_length", file, hidden // heads),
        context_tok=_size(prefixed, "context_length", file),
        rope_theta=_positive(prefixed, "rope.freq_base", file, 10_000.0),
        norm_eps=_positive(prefixed, "attention.layer_norm_rms_epsilon", file, 1e-6),
        tied="output.weight" not in tensor_names,
    ), file)


def read(folder: Path) -> Architecture:
    """The architecture of a safetensors folder."""
    return from_config(read_json(folder / "config.json"), f"{folder.name}/config.json")
