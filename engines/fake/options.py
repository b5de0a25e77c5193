"""What the fake engine simulates, and by which clock."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from workbench.config import Settings

FREE_KV_BLOCKS = 8192  # 131,072 tokens in blocks of 16: a finite number, measured nowhere


class FakeOptions(Settings):
    """Batching rules come from `profile` where one is given, then from the options that are set here."""

    profile: Path | None = Field(None, description="profile JSON; without one, a plain invented cost per token")
    rules: Literal["llama.cpp", "vllm"] = Field("llama.cpp", description="whose batching rules, without a profile")
    clock: Literal["real", "virtual"] = Field(
        "real", description="real: tokens come when the iteration ends; virtual: at once, with its time in `timings`",
    )
    start_after: int = Field(1, ge=1, description="virtual clock: begin when so many requests have arrived")
    slots: int | None = Field(None, ge=1, description="llama.cpp rules")
    n_batch: int | None = Field(None, ge=1, description="llama.cpp rules")
    n_ubatch: int | None = Field(None, ge=1, description="llama.cpp rules")
    kv_unified: bool | None = Field(None, description="llama.cpp rules")
    ctx_per_slot_tok: int | None = Field(None, ge=8, description="llama.cpp rules")
    max_num_seqs: int | None = Field(None, ge=1, description="vllm rules")
    max_num_batched_tokens: int | None = Field(None, ge=1, description="vllm rules")
    block_tok: int | None = Field(None, ge=1, description="vllm rules")
    kv_blocks: int | None = Field(
        None, ge=1, description=f"vllm rules; without a profile that says: {FREE_KV_BLOCKS}, an invented number",
    )
    max_model_len_tok: int | None = Field(None, ge=1, description="vllm rules")
    port: int = Field(0, ge=0, le=65535, description="0: any free one")

    @field_validator("profile")
    @classmethod
    def _there(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("no such file; `workbench profile fit` writes one")
        return value.resolve() if value is not None else None  # the child runs in another folder

    def rule_facts(self) -> dict[str, Any]:
        """The batching options that are set, as `sims.rules.from_facts` takes them."""
        ours = {"profile", "rules", "clock", "start_after", "port"}
        return self.model_dump(exclude=ours, exclude_none=True)
