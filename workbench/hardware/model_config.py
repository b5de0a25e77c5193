"""An architecture from a Hugging Face config.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench import files
from workbench.errors import UsageError
from workbench.hardware.architecture import KINDS, Architecture, checked
from workbench.hardware.attention import Latent, Window

LARGEST = 1 << 24  # of any size: keeps every product small where a file lies
MOST_LAYERS = 4096
# Keys of models whose cache or layers are of another kind; their bytes would be wrong.
LATENT = "kv_lora_rank"
FOREIGN = (LATENT, "ssm_state_size", "mamba_d_state", "linear_num_key_heads")
# Read only where bytes alone are asked for: the roofline's arithmetic is not theirs.
WIDER_KINDS: Mapping[str, Mapping[str, Any]] = {
    **KINDS, "deepseek_v2": {}, "deepseek_v3": {"router_bias": True}, "gemma3_text": {"qk_norm": True, "norms": 4},
}


def from_config(path: Path, *, wider: bool = False) -> Architecture:
    """Read a config.json; the model is named after `_name_or_path`, else after the file. `wider`: see from_mapping."""
    raw = files.read_json(path)
    if not isinstance(raw, dict):
        raise UsageError(f"{path.name}: not a JSON object; a model's config.json is needed")
    return from_mapping(raw, path.name, path.stem if path.stem != "config" else path.resolve().parent.name,
                        wider=wider)


def from_mapping(raw: Mapping[str, Any], file: str, name: str, *, wider: bool = False) -> Architecture:
    """Dense, grouped attention, mixtures (Mixtral, Qwen, Phi): one line names what is not read.

    `wider`: latent attention (DeepSeek) and sliding windows (Gemma 3, Mistral) too, of which only bytes are known here.
    """
    inner = raw.get("text_config")
    values = inner if isinstance(inner, dict) else raw
    kind = str(values.get("model_type"))
    kinds = WIDER_KINDS if wider else KINDS
    foreign = next((key for key in FOREIGN if values.get(key) and not (wider and key == LATENT)), None)
    if foreign:
        raise UsageError(f"{file}: {foreign}: this model does not keep one key and value per head and token;"
                         " its cache cannot be computed here")
    if kind not in kinds:
        raise UsageError(f"{file}: model_type: {kind!r} is not read here; there are {', '.join(kinds)}")
    hidden, heads = _size(values, file, "hidden_size"), _size(values, file, "num_attention_heads")
    layers = _size(values, file, "num_hidden_layers", most=MOST_LAYERS)
    experts = _size(values, file, "num_local_experts", "num_experts", "n_routed_experts", default=0)
    ff = _size(values, file, "intermediate_size")
    found = Architecture(
        name=name, layers=layers, hidden=hidden, heads=heads,
        kv_heads=_size(values, file, "num_key_value_heads", default=heads),
        head_dim=_size(values, file, "head_dim", default=hidden // heads), ff=ff,
        vocab=_size(values, file, "vocab_size"),
        context_tok=_size(values, file, "max_position_embeddings", default=4096),
        experts=experts,
        experts_per_tok=_size(values, file, "num_experts_per_tok") if experts else 0,
        expert_ff=_size(values, file, "moe_intermediate_size", default=ff) if experts else 0,
        shared_ff=_shared_ff(values, file) if experts else 0,
        dense_layers=_dense_layers(values, layers, file) if experts else 0,
        tied=bool(values.get("tie_word_embeddings", False)),
        **{**kinds[kind], **({"qkv_bias": True} if values.get("attention_bias") else {})},
        latent=_latent(values, file), window=_window(values, layers, file) if wider else None, source=file,
    )
    return checked(found, file)


def _shared_ff(values: Mapping[str, Any], file: str) -> int:
    """One number, or so many experts that every token passes (DeepSeek)."""
    n = _size(values, file, "n_shared_experts", default=0)
    if n:
        return n * _size(values, file, "moe_intermediate_size")
    return _size(values, file, "shared_expert_intermediate_size", default=0)


def _latent(values: Mapping[str, Any], file: str) -> Latent | None:
    if not values.get(LATENT):
        return None
    return Latent(
        kv_rank=_size(values, file, LATENT), rope_dim=_size(values, file, "qk_rope_head_dim"),
        nope_dim=_size(values, file, "qk_nope_head_dim"), value_dim=_size(values, file, "v_head_dim"),
        q_rank=_size(values, file, "q_lora_rank", default=0),
    )


def _window(values: Mapping[str, Any], layers: int, file: str) -> Window | None:
    """All layers, those that `layer_types` names, or all but every `sliding_window_pattern`-th."""
    if not values.get("sliding_window") or values.get("use_sliding_window") is False:
        return None
    tok, types = _size(values, file, "sliding_window"), values.get("layer_types")
    if isinstance(types, list):
        windowed = sum(kind == "sliding_attention" for kind in types)
    elif values.get("sliding_window_pattern"):
        windowed = layers - layers // _size(values, file, "sliding_window_pattern", most=MOST_LAYERS)
    else:
        windowed = layers
    return Window(tok, min(windowed, layers)) if windowed else None


def _dense_layers(values: Mapping[str, Any], layers: int, file: str) -> int:
    """Layers without experts: the first, the listed ones, and those that the step leaves out."""
    first = _size(values, file, "first_k_dense_replace", default=0, most=layers)
    step = _size(values, file, "decoder_sparse_step", default=1)
    listed = values.get("mlp_only_layers") or []
    if not isinstance(listed, list):
        raise UsageError(f"{file}: mlp_only_layers: {listed!r} is no list; the file is damaged or of another kind")
    return sum(layer < first or layer in listed or (layer + 1) % step != 0 for layer in range(layers))


def _size(
    values: Mapping[str, Any], file: str, *keys: str, default: int | None = None, most: int = LARGEST
) -> int:
    """The first of `keys` that is there; a default of 0 allows 0."""
    key = next((key for key in keys if values.get(key) is not None), None)
    if key is None:
        if default is None:
            raise UsageError(f"{file}: {keys[0]}: is missing; a model's config.json is needed")
        return default
    value = values[key]
    least = 0 if default == 0 else 1
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"{file}: {key}: {value!r} is no size; the file is damaged or of another kind")
    return value
