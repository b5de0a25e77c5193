"""Profiles from datasheet arithmetic: every part of an iteration takes as long as its arithmetic or its bytes do,
whichever is longer, at a stated fraction of the peak. For accelerators nobody here measured; an estimate, labelled so.

    iteration = layers x (projections + feed-forward or experts + two all-reduces + kernel starts) + head + attention

A mixture touches E (1 - (1 - k/E)^tokens) of its E experts, k a token, as if the router chose evenly.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from workbench.hardware import formats
from workbench.hardware.accelerators import Accelerator, Kind
from workbench.hardware.architecture import Architecture
from workbench.hardware.memory import Split
from workbench.profile.grid import Grid

NS_PER_S = 1e9
ACTIVATION_BYTES = 2  # of one value between kernels
TOKENS = (1, 8, 32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192)
STEP_N = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
CTX_TOK = (1, 131_072)
NEW_TOK, PAST_TOK = (1, 64, 512, 2048, 8192), (0, 8192, 131_072)
SEQS = 256  # sequences at once: vLLM's default on most cards


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What is reached of the peaks, and what every start costs. All are assumptions; each may be given."""

    memory_frac: float = 0.8  # aiconfigurator 0.12, systems/*.yaml: mem_bw_empirical_scaling_factor
    compute_frac: float = 0.7  # large dense matrix products reach 0.6 to 0.8 of NVIDIA's dense peaks
    attention_frac: float = 0.5  # FlashAttention-2 (arXiv 2307.08691): 0.50 to 0.73 of an A100's peak, forward
    link_frac: float = 0.8  # NCCL's bus bandwidth over NVLink's, large messages
    kernel_s: float = 3e-6  # aiconfigurator 0.12, systems/*.yaml: mem_empirical_constant_latency
    kernels_per_layer: float = 8.0  # two norms, qkv, rotation, attention, output, gate and up, down
    collective_s: float = 10e-6  # aiconfigurator 0.12, systems/*.yaml: p2p_latency
    step_s: float = 0.0  # of the host, between iterations

    def given(self, changes: Mapping[str, float]) -> "Efficiency":
        return replace(self, **changes)


DEFAULTS: Mapping[Kind, Efficiency] = MappingProxyType({
    "gpu": Efficiency(),
    "amd": Efficiency(compute_frac=0.5),  # public GEMM measurements: about half of the MI300X's bf16 peak
    "tpu": Efficiency(kernel_s=1e-6),  # compiled as one program: no launches, only pipeline fills (assumed)
    "apple": Efficiency(kernels_per_layer=12.0),  # llama.cpp's Metal kernels are fused less (assumed)
    "cpu": Efficiency(compute_frac=0.5, kernel_s=0.0),  # vector units beside loads and threads (assumed)
})
# PCIe between peers under one switch: aiconfigurator 0.12's all-reduce tables come to 18 of 31.5 GB/s on two L40S and
# 40 of 63 on RTX PRO 6000. Through host memory (four L40S) it is 4 of 31.5.
PCIE: Mapping[str, float] = MappingProxyType({"link_frac": 0.6})
THROUGH_HOST_FRAC = 0.13


def assumed(accelerator: Accelerator) -> Efficiency:
    """The defaults for one accelerator, before anything is given."""
    found = DEFAULTS[accelerator.kind]
    return found.given(PCIE) if accelerator.link.startswith("PCIe") else found


@dataclass(frozen=True, slots=True)
class Roofline:
    """One model on one kind of accelerator, split one way."""

    accelerator: Accelerator
    architecture: Architecture
    quant: str = "bf16"
    kv_type: str = "auto"
    split: Split = Split()
    efficiency: Efficiency = Efficiency()

    def projections_s(self, tokens: int) -> float:
        """Q, K, V and output of one layer; KV heads that do not divide are held by several ranks."""
        shape, tp = self.architecture, self.split.tp
        kv_heads = max(1.0, shape.kv_heads / tp)
        out = shape.head_dim * (shape.heads / tp + 2 * kv_heads)
        params = shape.hidden * (out + shape.head_dim * shape.heads / tp)
        values = tokens * (2 * shape.hidden + out + shape.head_dim * shape.heads / tp)
        return self._part_s(tokens * params, params, values)

    def dense_s(self, tokens: int, width: int) -> float:
        """Gate, up and down of one layer."""
        shape = self.architecture
        params = 3 * shape.hidden * width / self.split.tp
        return self._part_s(tokens * params, params, tokens * (2 * shape.hidden + 3 * width / self.split.tp))

    def experts_s(self, tokens: int) -> float:
        """Those that the tokens touch; each rank holds a slice of all, or whole ones and the busiest is awaited."""
        shape, dealt = self.architecture, self.split.ep > 1
        ranks = self.split.ep if dealt else self.split.tp
        busy = touched(shape, tokens) / ranks
        used = tokens * shape.experts_per_tok / ranks
        if dealt:
            busy = min(busiest(busy, ranks), shape.experts / ranks)
            used = busiest(used, ranks)
        values = used * (2 * shape.hidden + 3 * shape.expert_ff)
        return self._part_s(used * shape.expert_params, busy * shape.expert_params, values)

    def head_s(self, rows: int) -> float:
        """Logits of the tokens that are sampled from."""
        shape = self.architecture
        found = formats.find(self.quant)
        params = shape.vocab * shape.hidden / self.split.tp
        bits = found.bits if found.whole else formats.WIDE_BITS
        flops = self.accelerator.flops("bf16") * self.efficiency.compute_frac
        moved = params * bits / 8 + rows * 4 * shape.vocab / self.split.tp
        return max(2 * rows * params / flops, moved / self._memory_rate())

    def reduce_s(self, tokens: int) -> float:
        """One all-reduce of the hidden state in a ring."""
        tp = self.split.tp
        if tp == 1:
            return 0.0
        moved = 2 * (tp - 1) / tp * tokens * self.architecture.hidden * ACTIVATION_BYTES
        return self.efficiency.collective_s + moved / (self.accelerator.link_rate() * self.efficiency.link_frac)

    def rest_s(self, tokens: int, rows: int) -> float:
        """All but attention, for `tokens` computed and `rows` sampled from."""
        shape, effort = self.architecture, self.efficiency
        feed = (shape.layers - shape.moe_layers) * self.dense_s(tokens, shape.ff)
        if shape.moe:
            feed += shape.moe_layers * self.experts_s(tokens)
            feed += shape.moe_layers * self.dense_s(tokens, shape.shared_ff) if shape.shared_ff else 0.0
        layer = self.projections_s(tokens) + 2 * self.reduce_s(tokens) + effort.kernel_s * effort.kernels_per_layer
        return feed + shape.layers * layer + self.head_s(rows) + effort.step_s

    def decode_attention_s(self, decodes: int, context_tok: int) -> float:
        """Reading the keys and values of every sequence once."""
        return decodes * context_tok * self._kv_bytes_per_tok() / self._memory_rate()

    def prompt_attention_s(self, new_tok: int, past_tok: int) -> float:
        """Scores and sums over all pairs, or reading the cache."""
        shape = self.architecture
        pairs = new_tok * past_tok + new_tok * (new_tok + 1) // 2
        flops = 4 * pairs * shape.layers * shape.heads * shape.head_dim / self.split.tp
        read = (new_tok + past_tok) * self._kv_bytes_per_tok() / self._memory_rate()
        return max(flops / (self.accelerator.flops("bf16") * self.efficiency.attention_frac), read)

    def grid(self) -> Grid:
        return Grid(
            tokens=TOKENS, rest_ns=_rising([self.rest_s(n, 1) for n in TOKENS]),
            step_n=STEP_N, step_ns=_rising([self.rest_s(n, n) for n in STEP_N]),
            decode_n=(1, SEQS), ctx_tok=CTX_TOK,
            decode_attention_ns=tuple(_rising([self.decode_attention_s(n, c) for c in CTX_TOK]) for n in (1, SEQS)),
            new_tok=NEW_TOK, past_tok=PAST_TOK,
            prompt_attention_ns=tuple(_rising([self.prompt_attention_s(n, p) for p in PAST_TOK]) for n in NEW_TOK),
        )

    def _part_s(self, products: float, params: float, values: float) -> float:
        """`products` multiply-adds with `params` quantised weights, moving `values` activations."""
        found = formats.find(self.quant)
        flops = self.accelerator.flops(found.dtype) * self.efficiency.compute_frac
        return max(2 * products / flops, (params * found.bits / 8 + values * ACTIVATION_BYTES) / self._memory_rate())

    def _memory_rate(self) -> float:
        return self.accelerator.memory_bytes_per_s * self.efficiency.memory_frac

    def _kv_bytes_per_tok(self) -> float:
        held = max(1 / self.split.tp, 1 / self.architecture.kv_heads)
        return self.architecture.kv_bytes_per_tok(self.kv_type) * held


def touched(architecture: Architecture, tokens: int) -> float:
    """Experts that at least one of `tokens` chose, the router being even."""
    experts = architecture.experts
    return float(experts * (1 - (1 - architecture.experts_per_tok / experts) ** tokens))


def busiest(mean: float, ranks: int) -> float:
    """Expected load of the fullest of `ranks` when each gets `mean` by chance: one Gaussian tail above the mean."""
    return mean + math.sqrt(2 * mean * math.log(ranks))


def _rising(seconds: Sequence[float]) -> tuple[int, ...]:
    return tuple(round(value * NS_PER_S) for value in seconds)
