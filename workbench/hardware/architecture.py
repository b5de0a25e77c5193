"""What a model is made of, in numbers: parameters, weight bytes and KV bytes follow from its dimensions.

Dense and mixture-of-experts transformers with grouped attention; latent attention and sliding windows where only bytes
are asked for (`workbench.hardware.models`). State-space layers are refused: their bytes would be wrong.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.hardware.attention import Latent, Window
from workbench.hardware.formats import WIDE_BITS, kv_bytes
from workbench.hardware.formats import find as find_format
from workbench.hardware.table import Line, lines, lookup, plain
from workbench.paths import datasets


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes as in config.json. `expert_ff`, `experts`, `experts_per_tok` are 0 in a dense model."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ff: int  # of a dense layer
    vocab: int
    context_tok: int
    experts: int = 0
    experts_per_tok: int = 0
    expert_ff: int = 0
    shared_ff: int = 0  # an expert that every token passes
    dense_layers: int = 0  # layers of a mixture that have no experts
    tied: bool = False
    qk_norm: bool = False
    qkv_bias: bool = False
    all_bias: bool = False  # output projection, head and norms carry biases as well
    router_bias: bool = False  # one number per expert
    norms: int = 2  # of the hidden width, in one layer
    latent: Latent | None = None
    window: Window | None = None
    source: str = ""

    @property
    def moe(self) -> bool:
        return self.experts > 0

    @property
    def moe_layers(self) -> int:
        return self.layers - self.dense_layers if self.moe else 0

    @property
    def attention_params(self) -> int:
        """The projections of one layer."""
        if self.latent is not None:
            return self.latent.params(self.hidden, self.heads)
        return 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)

    @property
    def expert_params(self) -> int:
        """One expert of one layer: gate, up and down."""
        return 3 * self.hidden * self.expert_ff

    @property
    def linear_params(self) -> int:
        """What a quantiser quantises: projections, feed-forward layers, experts."""
        dense = (self.layers - self.moe_layers) * 3 * self.hidden * self.ff
        moe = self.moe_layers * (self.experts * self.expert_params + 3 * self.hidden * self.shared_ff)
        return self.layers * self.attention_params + dense + moe

    @property
    def expert_params_total(self) -> int:
        return self.moe_layers * self.experts * self.expert_params

    @property
    def table_params(self) -> int:
        """Embeddings and output head."""
        return self.vocab * self.hidden * (1 if self.tied else 2)

    @property
    def small_params(self) -> int:
        """Norms, routers, biases: held whole by every rank."""
        norm = 2 if self.all_bias else 1
        layer = self.norms * self.hidden * norm + (2 * self.head_dim if self.qk_norm else 0)
        layer += self.latent.norm_params if self.latent is not None else 0
        if self.qkv_bias:
            layer += self.head_dim * (self.heads + 2 * self.kv_heads)
        gate = self.hidden if self.shared_ff and self.latent is None else 0  # of the shared expert
        gate += self.experts if self.router_bias else 0
        routers = self.moe_layers * (self.hidden * self.experts + gate)
        outer = self.hidden * norm
        if self.all_bias:
            layer, outer = layer + self.hidden, outer + self.vocab
        return self.layers * layer + routers + outer

    @property
    def params(self) -> int:
        return self.linear_params + self.table_params + self.small_params

    @property
    def active_params(self) -> int:
        """What one token uses: of the experts only its own."""
        idle = self.moe_layers * (self.experts - self.experts_per_tok) * self.expert_params
        return self.params - idle

    def weight_bytes(self, quant: str = "bf16") -> int:
        """All weights in a format; what the format leaves wide counts 16 bits."""
        found = find_format(quant)
        tables = found.bits if found.whole else WIDE_BITS
        wide = max(WIDE_BITS, found.bits) if found.whole else WIDE_BITS
        return round((self.linear_params * found.bits + self.table_params * tables + self.small_params * wide) / 8)

    def kv_bytes_per_tok(self, kv_type: str = "auto") -> float:
        """What one token adds in all layers (with a window: until that is full)."""
        if self.latent is not None:
            return self.layers * self.latent.cached_values * kv_bytes(kv_type)
        return 2 * self.layers * self.kv_heads * self.head_dim * kv_bytes(kv_type)

    def kv_bytes(self, tok: int, kv_type: str = "auto", slack_tok: int = 0) -> float:
        """The cache of one sequence of `tok` tokens; windowed layers keep `slack_tok` more than their window."""
        grown = tok * self.kv_bytes_per_tok(kv_type)
        if self.window is None or tok <= self.window.tok + slack_tok:
            return grown
        dropped = tok - self.window.tok - slack_tok
        return grown - dropped * self.kv_bytes_per_tok(kv_type) * self.window.layers / self.layers


def find(name: str) -> Architecture:
    """By Hugging Face id, by its last part or by alias (`llama-3.1-8b`, `Qwen3-32B-FP8`)."""
    table, aliases = _shipped()
    last = name.rsplit("/", 1)[-1]
    short = plain(re.sub(r"(?i)(-(fp8|bf16|awq|gptq|int[48]|nvfp4|instruct|chat|hf))+$", "", last))
    wanted = last if plain(last) in aliases or short not in aliases else short
    remedy = "datasets/models/architectures.csv lists them, and a config.json file is read too"
    return lookup(table, aliases, wanted, "model", remedy)


def names() -> tuple[str, ...]:
    return tuple(_shipped()[0])


@cache
def _shipped() -> tuple[dict[str, Architecture], dict[str, str]]:
    return read(datasets() / "models" / "architectures.csv")


def read(path: Path) -> tuple[dict[str, Architecture], dict[str, str]]:
    """A table of this shape: architectures by name, names by plain alias. Doubles are refused."""
    table: dict[str, Architecture] = {}
    aliases: dict[str, str] = {}
    for line in lines(path):
        found = _architecture(line)
        table[found.name] = found
        for alias in {plain(word) for word in (found.name.rsplit("/", 1)[-1], *line.words("aliases"))}:
            if alias in aliases:
                raise line.error("name", f"or its alias {alias!r} is there twice; names and aliases are unique")
            aliases[alias] = found.name
    return table, aliases


def _architecture(line: Line) -> Architecture:
    kind = line.text("model_type")
    if kind not in KINDS:
        raise line.error("model_type", f"is not read here; there are {', '.join(KINDS)}")
    if not line.text("source"):
        raise line.error("source", "is empty: every row says where it is from")
    found = Architecture(
        name=line.text("name"), layers=line.whole("layers"), hidden=line.whole("hidden"), heads=line.whole("heads"),
        kv_heads=line.whole("kv_heads"), head_dim=line.whole("head_dim"), ff=line.whole("ff"),
        vocab=line.whole("vocab"), context_tok=line.whole("context_tok"), experts=line.whole("experts", 0),
        experts_per_tok=line.whole("experts_per_tok", 0), expert_ff=line.whole("expert_ff", 0),
        tied=line.one_of("tied", ("yes", "no")) == "yes", **KINDS[kind], source=line.text("source"),
    )
    return checked(found, line.place)


def checked(found: Architecture, place: str) -> Architecture:
    """Refused where heads cannot share KV heads or the mixture's numbers contradict each other."""
    if found.head_dim < 1:
        raise UsageError(f"{place}: heads: {found.heads} heads are more than the hidden size {found.hidden}; one is"
                         " wrong")
    if found.heads % found.kv_heads:
        raise UsageError(f"{place}: kv_heads: {found.heads} heads cannot share {found.kv_heads} KV heads; one is wrong")
    if found.moe and not (0 < found.experts_per_tok <= found.experts and found.expert_ff > 0):
        raise UsageError(f"{place}: experts_per_tok: {found.experts_per_tok} of {found.experts} experts of width"
                         f" {found.expert_ff} is no mixture; one is wrong")
    return found


# What a kind of model adds to the plain Llama block.
KINDS: Mapping[str, Mapping[str, Any]] = {
    "llama": {}, "mistral": {}, "mixtral": {}, "qwen2": {"qkv_bias": True}, "qwen2_moe": {"qkv_bias": True},
    "qwen3": {"qk_norm": True}, "qwen3_moe": {"qk_norm": True}, "phi3": {},
    "phimoe": {"qkv_bias": True, "all_bias": True},
}
