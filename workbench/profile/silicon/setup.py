"""What is asked of the kernel database: model, GPU, engine, how it is split and quantised. Checked against names that
the database knows, so that nothing is ever looked up elsewhere."""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from workbench.errors import UsageError
from workbench.hardware.memory import DEGREES
from workbench.profile.profile import Parallel

# Our name of a quantisation -> the database's, for dense layers and for experts. Experts in FP8 are published with a
# scale per block of 128 (Qwen3-Coder-480B-A35B-Instruct-FP8). Their dense layers are too, but the database's block-wise
# matrices are of untuned kernels: with them the published runs of silicon_sample.csv (MiniMax-M2.5, vLLM) come out 2.3
# to 2.5 times too slow a token on B200 and B300 and 1.5 on H100, with per-tensor ones 0.85, 0.91 and 1.08.
QUANTS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "bf16": ("bfloat16", "bfloat16"), "fp8": ("fp8", "fp8_block"), "fp8_block": ("fp8_block", "fp8_block"),
    "nvfp4": ("nvfp4", "nvfp4"), "int4": ("int4_wo", "int4_wo"), "int8": ("int8_wo", "int8_wo"),
    "mxfp4": ("", "w4a16_mxfp4"),  # gpt-oss: experts alone are quantised
})
KV_TYPES: Mapping[str, str] = MappingProxyType({"bf16": "bfloat16", "fp8": "fp8"})
ENGINES = ("vllm", "sglang", "trtllm")
SHORT_GPUS = MappingProxyType({name: f"{name}_sxm" for name in ("a100", "h100", "h200", "b200", "b300")})


@dataclass(frozen=True, slots=True)
class Setup:
    """Names as the database writes them; make it with `setup`."""

    model: str
    gpu: str
    engine: str = "vllm"
    quant: str = "bf16"
    kv_type: str = "bf16"
    parallel: Parallel = Parallel()
    experts: bool = False

    @property
    def gpus(self) -> int:
        return self.parallel.tp * self.parallel.pp * self.parallel.dp

    def __str__(self) -> str:
        return f"{self.model} {self.quant} on {self.gpu} {self.parallel}"


def setup(
    package: Path, model: str, gpu: str, *, engine: str = "vllm", quant: str = "bf16", kv_type: str = "bf16",
    parallel: Parallel | None = None,
) -> Setup:
    """Check every name against the database in `package`; raises UsageError with the known ones."""
    split = parallel or Parallel()
    known = known_models(package)
    found = model_id(model, known)
    if found is None:
        raise UsageError(_unknown("--model", model, known, "models"))
    _one_of("--engine", engine, ENGINES)
    _one_of("--quant", quant, QUANTS)
    _one_of("--kv-type", kv_type, KV_TYPES)
    gpus = known_gpus(package, engine)
    place = SHORT_GPUS.get(gpu.lower(), gpu.lower())
    if place not in gpus:
        raise UsageError(_unknown("--gpu", gpu, gpus, f"GPUs measured with {engine}"))
    config = _config(package, found)
    experts = _experts(config) > 0
    wide = split.tp * split.dp
    if not experts and (split.dp > 1 or split.ep > 1):
        raise UsageError(f"--dp/--ep: {found} has no experts to share; run {max(split.dp, 2)} replicas instead")
    if not experts and not QUANTS[quant][0]:
        raise UsageError(f"--quant {quant}: only experts are quantised so, and {found} has none")
    if experts and wide % split.ep:
        raise UsageError(f"--ep {split.ep}: must divide --tp x --dp = {wide}; try --ep {math.gcd(wide, split.ep)}")
    _check_split(found, split, config)
    return Setup(found, place, engine, quant, kv_type, split, experts)


def known_models(package: Path) -> tuple[str, ...]:
    return tuple(sorted(
        path.name.removesuffix("_config.json").replace("--", "/", 1)
        for path in (package / "model_configs").glob("*_config.json") if not path.name.endswith("_hf_quant_config.json")
    ))


def known_gpus(package: Path, engine: str) -> tuple[str, ...]:
    data = package / "systems" / "data"
    return tuple(sorted(path.parent.parent.name for path in data.glob(f"*/gemm/{engine}") if any(path.iterdir())))


def known_quants(package: Path, setup: Setup, version: str) -> tuple[str, ...]:
    """Our names of what the tables of this GPU and engine hold; empty where they cannot be read."""
    import pyarrow.parquet as pq

    family = "moe" if setup.experts else "gemm"
    folder = package / "systems" / "data" / setup.gpu / family / setup.engine / version
    file = folder / f"{family}_perf.parquet"
    if not file.is_file():
        return ()
    found = set(pq.read_table(file, columns=[f"{family}_dtype"])[0].unique().to_pylist())
    return tuple(name for name, kinds in QUANTS.items() if kinds[setup.experts] in found)


def model_id(model: str, known: Iterable[str]) -> str | None:
    """The id under which the database has these shapes; an instruct model has those of its base."""
    renamed = model.replace("meta-llama/Llama-3.1-", "meta-llama/Meta-Llama-3.1-")
    tries = (model, renamed, renamed.removesuffix("-Instruct"), f"{renamed}-Instruct")
    by_lower = {name.lower(): name for name in known}
    return next((by_lower[name.lower()] for name in tries if name.lower() in by_lower), None)


def _config(package: Path, model: str) -> Mapping[str, Any]:
    from workbench import files

    raw = files.read_json(package / "model_configs" / f"{model.replace('/', '--')}_config.json")
    found: Mapping[str, Any] = raw.get("text_config", raw)
    return found


def _experts(config: Mapping[str, Any]) -> int:
    return max(int(config.get(key) or 0) for key in ("num_experts", "num_local_experts", "n_routed_experts"))


def _check_split(model: str, split: Parallel, config: Mapping[str, Any]) -> None:
    """Heads, stages and experts divide; KV heads do, or each is held by several ranks (a latent cache has none)."""
    heads = int(config["num_attention_heads"])
    layers = int(config.get("num_hidden_layers") or len(config["layers_block_type"]))
    kv_heads = heads if config.get("kv_lora_rank") else int(config.get("num_key_value_heads") or heads)
    fits = [k for k in DEGREES if not heads % k and (not kv_heads % k or not k % kv_heads)]
    if heads % split.tp or (kv_heads % split.tp and split.tp % kv_heads):
        what = f"{heads} heads" if heads % split.tp else f"{kv_heads} KV heads"
        raise UsageError(f"{model}: --tp {split.tp}: {what} do not divide; use one of {', '.join(map(str, fits))}")
    if split.pp > layers:
        raise UsageError(f"{model}: --pp {split.pp}: there are {layers} layers only; use fewer stages")
    experts = _experts(config)
    if experts and experts % split.ep:
        raise UsageError(f"{model}: --ep {split.ep}: {experts} experts do not divide; "
                         f"try --ep {math.gcd(experts, split.ep)}")


def _one_of(flag: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise UsageError(_unknown(flag, value, tuple(known), "values"))


def _unknown(flag: str, value: str, known: Iterable[str], what: str) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(value, names, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    some = names if len(names) <= 12 else [f"{len(names)} of them, such as {names[0]}", *names[17::len(names) // 5]]
    listed = ", ".join(some)
    return f"{flag} {value!r}: not in the kernel database; {hint}known {what}: {listed}"
