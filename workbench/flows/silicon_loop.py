"""One measured run of the silicon sample on the simulator: a closed loop on a profile from the kernel database."""

import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from sims.replica import IterationTime
from sims.rules import DisaggregatedRules, Rules, VllmRules
from sims.run import simulate
from workbench.errors import WorkbenchError
from workbench.flows.silicon_sample import Cell, Workers
from workbench.metrics import values
from workbench.profile.batch import Batch
from workbench.profile.decode_run import DecodeLine
from workbench.profile.profile import Parallel, Profile
from workbench.profile.silicon.build import read_grid
from workbench.profile.silicon.database import Database, package_folder
from workbench.profile.silicon.setup import Setup, setup
from workbench.runlog.schema import Planned

RANGE_RATIO = 0.8  # InferenceMAX: --random-range-ratio 0.8, lengths even over 0.8 to 1 of the nominal
PROMPTS_PER_SEAT = 10  # InferenceMAX: --num-prompts 10 x concurrency, so the first, crowded wave counts for a tenth
BUDGET_TOK = 8192  # InferenceMAX: --max-num-batched-tokens 8192, chunked prefill, no prefix caching
BLOCK_TOK = 16
LINK_BYTES_PER_S = 50e9  # a 400 Gbit/s network port beside each GPU (NVIDIA DGX H100 datasheet); the rows name none
NAMES = {"fp8": "fp8", "fp8_block": "fp8_block", "nvfp4": "nvfp4", "int4_wo": "int4", "": "bf16"}  # for messages
SAME_SHAPES = {  # a quantised copy has the shapes of what it was made from; its quantisation is in the row
    "nvidia/Llama-3.1-8B-Instruct-FP8": "meta-llama/Meta-Llama-3.1-8B", "nvidia/Qwen3-32B-NVFP4": "Qwen/Qwen3-32B",
    "nvidia/DeepSeek-R1-NVFP4": "deepseek-ai/DeepSeek-R1", "zhipuai/GLM-5": "zai-org/GLM-5",
}


class NotModelledError(Exception):
    """Why a cell cannot be simulated; the same words for the same reason."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the simulation says of a cell; `median_` beside the mean, for the sample does not say which it holds."""

    ttft_s: float
    tpot_s: float
    median_ttft_s: float
    median_tpot_s: float
    own_quant: bool  # the row's quantisation; else the one of the model's published checkpoint


class RowDatabase(Database):
    """The database with the quantisation modes of a row, or (None) those that it infers from the checkpoint."""

    def __init__(self, found: Setup, modes: tuple[str | None, str | None]) -> None:
        self._modes = modes
        super().__init__(found, batched_tok=BUDGET_TOK, seqs=256)

    def _options(self) -> dict[str, Any]:
        options = super()._options() | {"gemm_quant_mode": self._modes[0]}
        return options | ({"moe_quant_mode": self._modes[1]} if self.setup.experts else {})


def simulate_cell(cell: Cell, prompts_per_seat: int = PROMPTS_PER_SEAT) -> Outcome:
    """Raises NotModelledError. Of engines that do all work, one data-parallel rank stands for its equals; separate
    pools are simulated whole, each rank as an engine."""
    if cell.prefill is None:
        times, own_quant = timing(cell.engine, cell.model, cell.gpu, cell.dense, cell.experts, cell.decode)
        found: tuple[IterationTime, Rules] = (times.profile, _rules(cell, cell.concurrency))
    else:
        found, own_quant = _pools(cell, cell.prefill)
    log = simulate(schedule(cell, prompts_per_seat), *found, concurrency=cell.concurrency, keep_journal=False).log
    ttft_s, tpot_s = values(log, "ttft_s"), values(log, "tpot_s")
    return Outcome(float(ttft_s.mean()), float(tpot_s.mean()), float(np.median(ttft_s)), float(np.median(tpot_s)),
                   own_quant)


@dataclass(frozen=True, slots=True)
class Pools:
    """One clockwork for two pools whose engines differ: only the prefill pool computes prompts of more than a token."""

    prefill: Profile
    decode: Profile

    def iteration_ns(self, batch: Batch) -> int:
        computes_prompts = any(new > 1 or not past for new, past in batch.prefills)
        return (self.prefill if computes_prompts else self.decode).iteration_ns(batch)

    def decode_line(self, decode_n: int, ctx_sum_tok: int, ctx_max_tok: int = 0, ctx_min_tok: int = 0) -> DecodeLine:
        line = self.decode.decode_line(decode_n, ctx_sum_tok, ctx_max_tok, ctx_min_tok)
        if line is None:
            raise TypeError("a grid always has a line")
        return line


def _pools(cell: Cell, prefill: Workers) -> tuple[tuple[IterationTime, Rules], bool]:
    pools = [timing(cell.engine, cell.model, cell.gpu, cell.dense, cell.experts, workers)
             for workers in (prefill, cell.decode)]
    (first, first_own), (rest, rest_own) = pools
    rules = DisaggregatedRules(
        prefill=_rules(cell, cell.concurrency), decode=_rules(cell, cell.concurrency),
        prefill_n=prefill.count * prefill.dp, decode_n=cell.decode.count * cell.decode.dp,
        kv_bytes_per_tok=max(1, rest.kv_bytes_per_tok * cell.decode.tp),
        link_bytes_per_s=LINK_BYTES_PER_S * prefill.tp,
    )
    return (Pools(first.profile, rest.profile), rules), first_own and rest_own


def _rules(cell: Cell, seats: int) -> VllmRules:
    """Room for everybody: what was measured did fit."""
    blocks = (-(-(cell.isl_tok + cell.osl_tok) // BLOCK_TOK) + 1) * seats
    return VllmRules(max_num_seqs=seats, max_num_batched_tokens=max(BUDGET_TOK, seats), block_tok=BLOCK_TOK,
                     kv_blocks=blocks)


def schedule(cell: Cell, prompts_per_seat: int) -> list[Planned]:
    """Lengths as the benchmark draws them, seeded by the cell's name."""
    rng = np.random.default_rng(zlib.crc32(cell.name.encode()))
    n = prompts_per_seat * cell.concurrency
    prompts, outputs = (
        rng.integers(max(1, int(nominal * RANGE_RATIO)), nominal, n, endpoint=True).tolist()
        for nominal in (cell.isl_tok, cell.osl_tok)
    )
    return [Planned(f"r{i:06d}", None, p, o) for i, (p, o) in enumerate(zip(prompts, outputs, strict=True))]


@dataclass(frozen=True, slots=True)
class Times:
    """Iteration times of one engine (one data-parallel rank), and KV bytes a token on each of its GPUs."""

    profile: Profile
    kv_bytes_per_tok: int


def timing(
    engine: str, model: str, gpu: str, dense: str, experts: str, workers: Workers
) -> tuple[Times, bool]:
    """And whether they are of the row's own quantisation."""
    split = Parallel(tp=workers.tp, dp=workers.dp, ep=workers.moe_ep)
    found = _timing(engine, SAME_SHAPES.get(model, model), gpu, dense, experts, split)
    if isinstance(found, str):
        raise NotModelledError(found)
    return found


@cache
def _timing(
    engine: str, model: str, gpu: str, dense: str, experts: str, split: Parallel
) -> tuple[Times, bool] | str:
    """One compile for each distinct set-up; why there is none, as text. KV capacity plays no part: what was measured
    did fit. gpt-oss, for one, is listed as nvfp4, but its only checkpoint is MXFP4: then the checkpoint's are used."""
    try:
        found = setup(package_folder(), model, gpu, engine=engine, quant=NAMES.get(dense, "bf16"), parallel=split)
    except WorkbenchError as error:
        return _reason(error)
    asked = (dense or "bfloat16", experts or "bfloat16")
    reason = ""
    for modes in (asked, (None, None)):
        try:
            database = RowDatabase(found, modes)
            profile = Profile(source="silicon", model=read_grid(database))
        except (WorkbenchError, AssertionError, LookupError, RuntimeError, ValueError) as error:  # the package's ways
            reason = reason or _reason(error)
            continue
        return Times(profile, int(database.kv["kv_size_per_token_bytes"])), modes == asked
    return reason


_REASONS = (  # words in the database's answer, and the one reason that they stand for
    ("--model", "the model is not in the kernel database"),
    ("divisible", "attention heads do not split so many ways by tensor"),
    ("do not split", "experts do not split so many ways by tensor"),
    ("does not fit", "does not fit, by the database's estimate of memory"),
    ("--quant", "the quantisation was not measured on this GPU with this engine"),
    ("--gpu", "the GPU was not measured with this engine"),
    ("MoE data missing", "experts of this shape and split were not measured"),
    ("data missing", "attention of this kind was not measured"),
)


def _reason(error: Exception) -> str:
    """The short of it, the same words for alike causes."""
    text = str(error)
    return next((reason for words, reason in _REASONS if words in text), text.partition(";")[0].partition(" (")[0])
