"""The bench file: an endpoint or one of our engines, a workload, and how it is sent."""

import os
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from workbench.bench.target import Target
from workbench.config import Settings
from workbench.errors import UsageError
from workbench.workload.arrivals import Closed
from workbench.workload.spec import WorkloadSpec


class TargetSpec(Settings):
    """A running OpenAI-compatible endpoint."""

    url: str
    model: str
    api: Literal["completions", "chat"] = "completions"
    api_key_env: str | None = None
    tokenizer: str | None = None
    timeout_s: float = Field(default=600.0, gt=0)
    first_byte_timeout_s: float | None = Field(default=None, gt=0)
    ignore_eos: bool = False
    allow_plain_http: bool = False
    extra_body: dict[str, Any] = Field(default_factory=dict)

    def target(self) -> Target:
        """With the key from the environment; raises UsageError where it is not set."""
        key = os.environ.get(self.api_key_env) if self.api_key_env else None
        if self.api_key_env and not key:
            raise UsageError(f"api_key_env: {self.api_key_env} is not set in the environment; export it")
        return Target(
            url=self.url, model=self.model, api=self.api, api_key=key, timeout_s=self.timeout_s,
            first_byte_timeout_s=self.first_byte_timeout_s, extra_body=self.extra_body, ignore_eos=self.ignore_eos,
            allow_plain_http=self.allow_plain_http,
        )


class EngineSpec(Settings):
    """One of our engines, started for this run and stopped after it."""

    name: str = "llama.cpp"
    model: str | None = None  # the fake engine needs none
    quant: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    timeout_s: float = Field(default=600.0, gt=0)


class BenchSpec(Settings):
    """`target` or `engine`; `concurrency` for the closed loop, else the workload's arrivals say when to send."""

    target: TargetSpec | None = None
    engine: EngineSpec | None = None
    workload: WorkloadSpec
    concurrency: int | None = Field(default=None, ge=1)
    workers: int = Field(default=1, ge=1, le=64)  # processes that send; more than one where one core is not enough
    seed: int = Field(default=0, ge=0)
    stop_over_saturation: bool = False  # end an open loop early where answers pile up beyond saving

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.target is None) == (self.engine is None):
            raise ValueError("give [target] or [engine], one of the two")
        closed = isinstance(self.workload.arrivals, Closed)
        if closed and self.concurrency is None:
            raise ValueError('arrivals of kind "closed" need a concurrency')
        if self.concurrency is not None and not closed:
            raise ValueError('a concurrency needs arrivals of kind "closed"; it excludes a rate')
        return self
