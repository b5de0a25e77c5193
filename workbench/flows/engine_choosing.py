"""The page that says when to use which engine: every number in it is read from datasets/measured/engines_cpu.csv."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.figures.table import number
from workbench.flows.sweeps.figures_row import FiguresRow, read
from workbench.flows.sweeps.report_cells import BITS
from workbench.paths import datasets

LARGE, SMALL = "random-135m", "tiny"
MOST = 8  # requests in flight
FEWER_BITS = (("llama.cpp", "Q4_0", "F16"), ("llama.cpp", "Q8_0", "F16"), ("onnxruntime", "INT4", "F32"))


@dataclass(frozen=True, slots=True)
class Curve:
    """One engine and type of weights on one model, by requests in flight."""

    engine: str
    kind: str
    by: dict[int, FiguresRow]

    @property
    def name(self) -> str:
        return f"{self.engine} {self.kind}"

    def rate(self, in_flight: int) -> float:
        return self.by[in_flight].output_tok_per_s or 0.0

    @property
    def gain(self) -> float:
        return self.by[MOST].batching_gain or 0.0


def curves(rows: Sequence[FiguresRow], model: str) -> dict[str, Curve]:
    """By engine and type, fastest alone first."""
    found: dict[str, Curve] = {}
    for row in rows:
        if row.model == model and row.concurrency is not None:
            kind = BITS.get(row.dtype, row.dtype) or row.quant
            curve = found.setdefault(f"{row.engine} {kind}", Curve(row.engine, kind, {}))
            curve.by[row.concurrency] = row
    return dict(sorted(found.items(), key=lambda item: -item[1].rate(1)))


def choosing_page() -> str:
    """docs/engines/choosing.md."""
    rows = read(datasets() / "measured" / "engines_cpu.csv")
    large, small = curves(rows, LARGE), curves(rows, SMALL)
    return _HEAD.format(
        machine=rows[0].machine, date=rows[0].date, repeats=min(row.repeats for row in rows),
        disturbed=sum(row.disturbed for row in rows), points=sum(row.repeats for row in rows),
    ) + (
        f"## 135 million parameters\n\n{_table(large)}\n## The shipped model: what an engine costs by itself\n\n"
        f"{_table(small)}\n") + _follows(large, small)


def _table(found: dict[str, Curve]) -> str:
    loads = sorted(next(iter(found.values())).by)
    head = ["engine", "weights", "first token, alone (ms)", "per output token, alone (ms)",
            *(f"tokens/s, {load} in flight" for load in loads), f"gain at {loads[-1]}", "CPU-ms per token, 1 / 8",
            "memory (MB)", "ready after (s)"]
    lines = ["| " + " | ".join(head) + " |", "| --- | --- " + "| ---: " * (len(head) - 2) + "|"]
    for curve in found.values():
        one, most = curve.by[1], curve.by[loads[-1]]
        cpu = " / ".join(number((row.cpu_s_per_output_tok or 0) * 1e3) for row in (one, most))
        sizes = [row.pss_bytes for row in curve.by.values() if row.pss_bytes]
        cells = [curve.engine, curve.kind, _ends(one, "ttft_s", 1e3), _ends(one, "tpot_s", 1e3),
                 *(_ends(curve.by[load], "output_tok_per_s") for load in loads), _ends(most, "batching_gain"), cpu,
                 number(max(sizes) / 1e6) if sizes else "n/a", number(one.load_s)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _ends(row: FiguresRow, name: str, scale: float = 1.0) -> str:
    value, low, high = (getattr(row, name + end) for end in ("", "_low", "_high"))
    return "n/a" if value is None else f"{number(value * scale)} ({number(low * scale)} to {number(high * scale)})"


_HEAD = """# Which engine, when

Generated from `datasets/measured/engines_cpu.csv`: what was measured first, then what follows from it. All of it on one
machine without a GPU, shared with other work ({machine}; {date}).
It says how these engines differ there, not how fast your model will be; to measure yours:
`workbench sweep run datasets/measured/engines_cpu.toml`. The sweep's report is in `reports/gallery/engines-cpu`; what
the columns mean, and what a shared machine does to them, in `datasets/measured/README.md`.

Prompts of 64 tokens, answers of 32, so many requests in flight at any time; one compute thread an engine. Means of
{repeats} repeats, the smallest and the largest in brackets. {disturbed} of {points} runs had other programs beside them
that used over a quarter of the cores; most of the sweep ran at raised priority.

"""


def _follows(large: dict[str, Curve], small: dict[str, Curve]) -> str:
    """What the numbers say, in words that hold whatever they are."""
    alone = max(large.values(), key=lambda curve: curve.rate(1))
    crowd = max(large.values(), key=lambda curve: curve.rate(MOST))
    quickest = min(small.values(), key=lambda c: c.by[1].tpot_s or 0.0)
    lines = [
        f"- **One user**: `{alone.engine}` with {alone.kind} weights: {number(alone.rate(1))} tokens/s alone, ready "
        f"after {number(alone.by[1].load_s)} s. llama.cpp is the least to set up: it is there already.",
        f"- **{MOST} at once**: `{crowd.engine}` {crowd.kind} made most, {number(crowd.rate(MOST))} tokens/s. Over one "
        f"request, batching gains a factor of {_gains(large)}. Never let one engine's curve stand for another's, in a "
        "simulation least of all.",
        *_quantisation(large),
        f"- **Overhead**: on the shipped model, where arithmetic is nothing, a token alone takes {_each_tpot(small)}. "
        f"For a model that small there is nothing else: take `{quickest.engine}`.",
        f"- **Processor time**: with {MOST} in flight the engines kept {_cores(large)} cores busy, all at one compute "
        "thread. vLLM's engine core spins while its worker computes: give it two cores, or it waits for itself.",
        f"- **Start and memory**: ready after {_loads(large)} s; {_memory(large)} MB for weights of {_WEIGHTS}, "
        "runtime included. What restarts often, or scales to zero, wants the first of these.",
    ]
    return "## What follows\n\n" + "\n".join(lines) + "\n" + _ELSE


_WEIGHTS = "77 (Q4_0) to 540 MB (F32)"
_ELSE = """\
- **Answers are the same**: all four engines give the same greedy answer to the same text at full precision, token for
  token, on both models; a test holds them to it. They differ in speed alone.
- **New architectures, the code of training**: `transformers`. Everything runs on it first. Give it `kv_blocks`, or its
  KV cache takes the memory that is free.
- **An embedded or Windows target**: `onnxruntime`. Its batches on a CPU are static: who comes while one runs waits
  for its end, so its first token is late under irregular traffic, which a closed loop does not show.
- **`dtype`**: this processor has no arithmetic for F16 or bfloat16. In the large model vLLM was tried in bfloat16, once
  at 1, 2 and 8 in flight, and left out of the table: 0.7, 0.5 and 0.2 times float32's throughput, other work beside
  it. On one that has it (AVX-512 BF16, AMX) measure it. Weights stored as F16 and left at `auto` are computed in F16:
  look at the fact `dtype` of a run before believing its speed.
- **GPUs**: `vllm`, `sglang`, `tensorrt-llm`: not measured here, so nothing is said of which is faster. Rent an hour
  and measure your model with the same workload; published figures mostly differ in their definitions.
"""


def _gains(found: dict[str, Curve]) -> str:
    return ", ".join(f"{curve.name} {number(curve.gain, 2)}" for curve in found.values())


def _each_tpot(found: dict[str, Curve]) -> str:
    return ", ".join(f"{curve.name} {number((curve.by[1].tpot_s or 0) * 1e3)} ms" for curve in found.values())


def _cores(found: dict[str, Curve]) -> str:
    used = [(curve.by[MOST].cpu_s_per_output_tok or 0.0) * curve.rate(MOST) for curve in found.values()]
    return f"{min(used):.1f} to {max(used):.1f}"


def _loads(found: dict[str, Curve]) -> str:
    first = {curve.engine: curve.by[1].load_s for curve in found.values() if curve.by[1].load_s is not None}
    return ", ".join(f"{name} {number(seconds)}" for name, seconds in sorted(first.items(), key=lambda item: item[1]))


def _memory(found: dict[str, Curve]) -> str:
    sizes = [row.pss_bytes for curve in found.values() for row in curve.by.values() if row.pss_bytes]
    return f"{number(min(sizes) / 1e6)} to {number(max(sizes) / 1e6)}"


def _quantisation(found: dict[str, Curve]) -> list[str]:
    """Fewer bits against the whole numbers of the same engine, alone and in a crowd."""
    said = []
    for engine, small, whole in FEWER_BITS:
        few, full = found.get(f"{engine} {small}"), found.get(f"{engine} {whole}")
        if few is not None and full is not None:
            said.append(f"{engine} {small} made {number(few.rate(1) / full.rate(1), 2)} times the tokens of {whole} "
                        f"alone and {number(few.rate(MOST) / full.rate(MOST), 2)} times with {MOST} in flight")
    if not said:
        return []
    return [f"- **Quantisation**: {'; '.join(said)}. Fewer bits are fewer bytes to read for each token; with more "
            "requests a reading serves more of them, and what is left is arithmetic. What it costs in quality is "
            "[another measurement](../model.md)."]
