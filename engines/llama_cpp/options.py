"""What can be asked of llama.cpp; the defaults are those on which its behaviour was measured (docs/engines.md)."""

from typing import Literal, Self

from pydantic import Field, model_validator

from engines.common import Speculative
from workbench.config import Settings

KvType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]


class LlamaCppOptions(Settings):
    """Options of one llama.cpp server."""

    slots: int = Field(4, ge=1, le=256, description="requests served at once")
    threads: int = Field(1, ge=1, le=512, description="compute threads; more than free cores is many times slower")
    n_batch: int = Field(512, ge=1, description="most tokens of one iteration; a longer prompt is cut here")
    n_ubatch: int = Field(512, ge=1, description="most tokens of one pass over the weights")
    ctx_per_slot_tok: int = Field(4096, ge=8, description="context of each slot; the model's declared context caps it")
    kv_type: KvType = Field("f16", description="type of the KV cache, keys and values alike")
    kv_unified: bool = Field(False, description="one KV cache for all slots instead of one each")
    flash_attention: Literal["auto", "on", "off"] = Field("auto", description="fused attention")
    warmup: bool = Field(True, description="one empty pass before the first request")
    slot_similarity_frac: float = Field(
        0.0, ge=0, le=1, description="share of a prompt that must match a slot's last one to be sent there; 0: never",
    )
    http_threads: int = Field(
        256, ge=4, le=4096, description="answers sent at once; each stream keeps one, beyond them nobody is heard",
    )
    prefix_caching: bool = Field(False, description="a slot keeps its last prompt's KV for one that begins so")
    gpu_layers: int | None = Field(None, ge=0, description="layers on the GPU; the wheel has none")
    speculative: Speculative | None = Field(None, description="n-gram or draft model")
    port: int = Field(0, ge=0, le=65535, description="0: any free one")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.n_ubatch > self.n_batch:
            raise ValueError(f"n_ubatch {self.n_ubatch} is larger than n_batch {self.n_batch}; lower it")
        if self.n_batch < self.slots:
            raise ValueError(f"n_batch {self.n_batch} is less than slots {self.slots}; a batch must hold every slot")
        if self.flash_attention == "off" and self.kv_type not in ("f32", "f16", "bf16"):
            raise ValueError(f"kv_type {self.kv_type} needs flash_attention; use auto or on")
        return self
