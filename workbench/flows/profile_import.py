"""Profiles that nobody here measured: read from public files, or computed from datasheets."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.errors import UsageError
from workbench.hardware import accelerators, architecture
from workbench.hardware.architecture import Architecture
from workbench.hardware.memory import kv_blocks
from workbench.hardware.model_config import from_config
from workbench.paths import shown
from workbench.profile import llama_bench, roofline, roofline_profile, splitwise, vllm_bench
from workbench.profile.kernels.link import Link
from workbench.profile.kernels.load import load as load_kernels
from workbench.profile.profile import Profile, write

EFFICIENCIES = tuple(roofline.Efficiency.__dataclass_fields__)
LINK_LATENCY_S = 20e-6  # LLMServingSim's configurations of measured runs: one message over PCIe
NS_PER_S = 1e9


def architecture_of(model: str) -> Architecture:
    """A known model by name, or any by its config.json."""
    return from_config(Path(model)) if model.endswith(".json") else architecture.find(model)


def from_roofline(
    model: str, accelerator: str, out: Path, *, quant: str = "bf16", tp: int = 1, ep: int = 1, kv_type: str = "auto",
    utilisation: float = 0.9, efficiency: Mapping[str, float] | None = None,
) -> Profile:
    """Computed and written to `out`; `efficiency` replaces some of the assumed fractions and times."""
    chip = accelerators.find(accelerator)
    effort = roofline.assumed(chip).given(_checked(efficiency or {}))
    found = roofline_profile.profile(chip, architecture_of(model), quant, tp=tp, ep=ep, kv_type=kv_type,
                             utilisation=utilisation, efficiency=effort)
    return _written(found, out)


def from_splitwise(file: Path, out: Path, *, tp: int, hardware: str, model: str) -> Profile:
    return _written(splitwise.load(file, tp, hardware, model), out)


def from_llama_bench(
    files: Sequence[Path], out: Path, *, where: Mapping[str, str], model: str = "", quant: str = "", hardware: str = ""
) -> Profile:
    return _written(llama_bench.load(files, where=where, model=model, quant=quant, hardware=hardware), out)


def from_vllm_bench(
    files: Sequence[Path], out: Path, *, kv_tok: int, model: str = "", quant: str = "", hardware: str = ""
) -> Profile:
    return _written(vllm_bench.load(files, kv_tok=kv_tok, model=model, quant=quant, hardware=hardware), out)


def from_kernels(
    perf: Path, config: Path, out: Path, *, tp: int = 1, ranks: int = 1, expert_parallel: bool = False,
    kv_blocks_given: int | None = None, utilisation: float = 0.9, link_bytes_per_s: float | None = None,
    link_latency_s: float = LINK_LATENCY_S,
) -> Profile:
    """LLMServingSim's kernel tables; KV blocks as given, else derived where the accelerator is a known one."""
    name = perf.resolve().parent.parent.parent.name
    link = None
    if tp * ranks > 1:
        rate = link_bytes_per_s or accelerators.find(name).link_rate()
        link = Link(bytes_per_s=round(rate), latency_ns=round(link_latency_s * NS_PER_S))
    found = load_kernels(perf, config, tp, ranks=ranks, expert_parallel=expert_parallel, link=link)
    blocks, origin, basis = kv_blocks_given, "given", "stated on the command line"
    if blocks is None:
        ep = tp * ranks if expert_parallel else 1
        room = kv_blocks(accelerators.find(name), from_config(config), found.subject.quant, tp, 16, utilisation, ep=ep)
        blocks, origin, basis = room.blocks, "derived", room.basis
    rules = {"engine": "vllm", "kv_blocks": blocks, "block_tok": 16, "max_num_seqs": 256,
             "max_num_batched_tokens": 2048, **({"ranks": ranks} if ranks > 1 else {})}
    return _written(found.model_copy(update={
        "kv_blocks": blocks, "block_tok": 16, "rules": rules,
        "provenance": {**found.provenance, "kv_blocks": {"origin": origin, "basis": basis}},
    }), out)


def pairs(given: Sequence[str], flag: str) -> dict[str, str]:
    """`key=value` of a repeated flag."""
    found: dict[str, str] = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise UsageError(f"{flag} {item!r}: write KEY=VALUE")
        found[key] = value
    return found


def numbers(given: Mapping[str, str], flag: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in given.items():
        try:
            found[key] = float(value)
        except ValueError:
            raise UsageError(f"{flag} {key}={value}: {value!r} is no number") from None
    return found


def _checked(changes: Mapping[str, float]) -> Mapping[str, float]:
    for key, value in changes.items():
        if key not in EFFICIENCIES:
            raise UsageError(f"--assume {key}: unknown; there are {', '.join(EFFICIENCIES)}")
        least_ok = value > 0 if key.endswith("_frac") else value >= 0
        if not least_ok or value > (1 if key.endswith("_frac") else 1000):
            bounds = "above 0 and at most 1" if key.endswith("_frac") else "0 to 1000"
            raise UsageError(f"--assume {key}={value:g}: must be {bounds}")
    return changes


def _written(profile: Profile, out: Path) -> Profile:
    if out.exists():
        raise UsageError(f"{shown(out)}: is there already; choose another with --out")
    write(profile, out)
    return profile
