"""How long the fake engine's iterations take: a profile, or an invented plain cost."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.fake.options import FREE_KV_BLOCKS, FakeOptions
from sims.overheads import Overheads
from sims.replica import IterationTime, Replica
from sims.rules import DisaggregatedRules, EngineRules, from_facts
from workbench.errors import UsageError
from workbench.profile import profile as profiles
from workbench.profile.batch import Batch

KV = {"kv_blocks": FREE_KV_BLOCKS}


@dataclass(frozen=True, slots=True)
class PlainCost:
    """Invented, of the order of a 27 M model on one CPU core: nobody measured it."""

    step_ns: int = 1_000_000
    prefill_tok_ns: int = 50_000
    decode_seq_ns: int = 500_000

    def iteration_ns(self, batch: Batch) -> int:
        return self.step_ns + self.prefill_tok_ns * batch.prefill_tok + self.decode_seq_ns * batch.decode_n


def build(options: FakeOptions) -> tuple[Replica, str]:
    """The replica that the options describe, and the profile's sha256 ("" without one)."""
    if options.profile is None:
        return Replica(_rules({"engine": options.rules, **KV, **options.rule_facts()}), PlainCost()), ""
    profile = profiles.read(Path(options.profile))
    engine = str(profile.rules.get("engine") or profile.subject.engine or options.rules)
    capacity = {"kv_blocks": profile.kv_blocks or FREE_KV_BLOCKS, "block_tok": profile.block_tok}
    rules = _rules({**capacity, **profile.rules, "engine": engine, **options.rule_facts()})
    timing: IterationTime = profile
    # the overheads that do not occupy the engine are left out: this server has real ones of its own
    return Replica(rules, timing, admit_ns=Overheads.of(profile).admit_ns), profile.sha256


def _rules(facts: dict[str, Any]) -> EngineRules:
    rules = from_facts(facts)
    if isinstance(rules, DisaggregatedRules):
        raise UsageError(f"engine fake: rules {rules.engine!r} are several engines; it plays one: llama.cpp or vllm")
    return rules
