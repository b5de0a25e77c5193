"""`workbench profile import ...` and `... roofline`: profiles from other people's files and from datasheets."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.common import emit, json_option, note

if TYPE_CHECKING:
    from workbench.profile.profile import Profile

FILE = click.Path(path_type=Path)
OUT = click.option("--out", type=FILE, default=None,
                   help="Where the profile is written (default: runs/profile-TIME.json).")


@click.group("import")
def import_group() -> None:
    """Make a profile of somebody else's measurements; it names its file, what was left out, and where it is thin.

    \b
    Example:
      workbench profile import llama-bench bench.json batched.jsonl --out m2-ultra.json
      workbench profile import splitwise perf_model.csv --tp 4 --out llama2-70b-tp4.json
    """


@import_group.command("llama-bench")
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--where", "chosen", multiple=True, metavar="COLUMN=VALUE",
              help="Keep only rows with this value; repeatable.")
@click.option("--model", default="", help="Name of the model (default: the file name in the output).")
@click.option("--quant", default="", help="Name of the quantisation (default: as the output says).")
@click.option("--hardware", default="", help="Name of the machine (default: as the output says).")
@OUT
@json_option
def from_llama_bench(files: tuple[Path, ...], chosen: tuple[str, ...], model: str, quant: str, hardware: str,
                     out: Path | None, as_json: bool) -> None:
    """Read llama-bench and llama-batched-bench output (JSON, JSON lines, CSV or Markdown) of one set-up.

    \b
    Example:
      workbench profile import llama-bench bench.json batched.jsonl --where n_threads=8 --out mac.json
    """
    from workbench.flows import profile_import as flow

    target = _target(out)
    found = flow.from_llama_bench(files, target, where=flow.pairs(chosen, "--where"), model=model, quant=quant,
                                  hardware=hardware)
    _show(found, target, as_json)


@import_group.command("vllm-bench")
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--kv-tok", type=click.IntRange(min=16), required=True,
              help="Tokens of KV cache: \"GPU KV cache size\" in the server's log.")
@click.option("--model", default="", help="Name of the model (default: as the output says).")
@click.option("--quant", default="", help="Name of the quantisation.")
@click.option("--hardware", default="", help="Name of the machine.")
@OUT
@json_option
def from_vllm_bench(files: tuple[Path, ...], kv_tok: int, model: str, quant: str, hardware: str, out: Path | None,
                    as_json: bool) -> None:
    """Read results of `vllm bench serve --save-result --save-detailed` against one server.

    One run at --max-concurrency 1 gives the prompts' times, others how sequences share an iteration.

    \b
    Example:
      workbench profile import vllm-bench alone.json at16.json --kv-tok 420000 --hardware H100 --out h100.json
    """
    from workbench.flows import profile_import as flow

    target = _target(out)
    found = flow.from_vllm_bench(files, target, kv_tok=kv_tok, model=model, quant=quant, hardware=hardware)
    _show(found, target, as_json)


@import_group.command("splitwise")
@click.argument("file", type=FILE)
@click.option("--tp", type=click.IntRange(min=1), required=True, help="Tensor-parallel degree of the rows to take.")
@click.option("--hardware", default="h100-80gb", show_default=True, help="Machine of the rows to take.")
@click.option("--model", default="llama2-70b", show_default=True, help="Model of the rows to take.")
@OUT
@json_option
def from_splitwise(file: Path, tp: int, hardware: str, model: str, out: Path | None, as_json: bool) -> None:
    """Read the measurements of Splitwise (perf_model.csv of Mutinifni/splitwise-sim).

    \b
    Example:
      workbench profile import splitwise perf_model.csv --tp 4 --out llama2-70b-tp4.json
    """
    from workbench.flows import profile_import as flow

    target = _target(out)
    _show(flow.from_splitwise(file, target, tp=tp, hardware=hardware, model=model), target, as_json)


@import_group.command("llmservingsim")
@click.argument("perf", type=FILE)
@click.option("--model-config", type=FILE, required=True, help="The model's config.json.")
@click.option("--tp", type=click.IntRange(min=1), default=1, show_default=True, help="Tensor-parallel degree.")
@click.option("--ranks", type=click.IntRange(min=1), default=1, show_default=True,
              help="Data-parallel ranks that share their experts.")
@click.option("--expert-parallel", is_flag=True, help="Deal whole experts to the accelerators instead of cutting each.")
@click.option("--kv-blocks", type=click.IntRange(min=1), default=None,
              help="KV blocks of 16 tokens (default: derived from memory).")
@click.option("--link-gb-per-s", type=click.FloatRange(min=0, min_open=True), default=None,
              help="Bandwidth between two accelerators, one direction (default: of the datasheet).")
@click.option("--link-latency-us", type=click.FloatRange(min=0), default=20.0, show_default=True,
              help="Time of one message between two accelerators.")
@OUT
@json_option
def from_llmservingsim(perf: Path, model_config: Path, tp: int, ranks: int, expert_parallel: bool,
                       kv_blocks: int | None, link_gb_per_s: float | None, link_latency_us: float, out: Path | None,
                       as_json: bool) -> None:
    """Read the kernel tables of LLMServingSim: PERF is a folder GPU/MODEL/bf16 that holds tp1, tp2 ...

    \b
    Example:
      workbench profile import llmservingsim perf/RTX4090/meta-llama/Llama-3.1-8B/bf16 --model-config config.json
    """
    from workbench.flows import profile_import as flow

    target = _target(out)
    found = flow.from_kernels(perf, model_config, target, tp=tp, ranks=ranks, expert_parallel=expert_parallel,
                              kv_blocks_given=kv_blocks, link_latency_s=link_latency_us / 1e6,
                              link_bytes_per_s=link_gb_per_s * 1e9 if link_gb_per_s else None)
    _show(found, target, as_json)


@click.command("roofline")
@click.option("--model", required=True, help="A known model (Llama-3.1-8B), or the path of a config.json.")
@click.option("--accelerator", required=True, help="A known accelerator (H100, M2_ULTRA, TPU-v5e, MI300X ...).")
@click.option("--quant", default="bf16", show_default=True, help="Format of the weights: bf16, fp8, awq, Q4_K_M ...")
@click.option("--kv-type", default="auto", show_default=True,
              help="Format of the KV cache: auto (16 bits), fp8, q8_0 ...")
@click.option("--tp", type=click.IntRange(min=1), default=1, show_default=True, help="Tensor-parallel degree.")
@click.option("--ep", type=click.IntRange(min=1), default=1, show_default=True,
              help="Deal a mixture's experts to so many accelerators (1: cut each by --tp).")
@click.option("--utilisation", type=float, default=0.9, show_default=True,
              help="Fraction of the memory that may be used.")
@click.option("--assume", multiple=True, metavar="NAME=VALUE",
              help="Replace an assumption (memory_frac, compute_frac, kernel_s, step_s ...); repeatable.")
@OUT
@json_option
def roofline(model: str, accelerator: str, quant: str, kv_type: str, tp: int, ep: int, utilisation: float,
             assume: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Compute a profile from datasheet peaks and the model's dimensions: an estimate, labelled so.

    \b
    Example:
      workbench profile roofline --model Llama-3.1-8B --accelerator M2_ULTRA --quant Q4_K_M --out m2.json
      workbench profile roofline --model Qwen3-32B --accelerator H100 --quant fp8 --tp 2 --assume memory_frac=0.75
    """
    from workbench.flows import profile_import as flow

    target = _target(out)
    changes = flow.numbers(flow.pairs(assume, "--assume"), "--assume")
    found = flow.from_roofline(model, accelerator, target, quant=quant, tp=tp, ep=ep, kv_type=kv_type,
                               utilisation=utilisation, efficiency=changes)
    _show(found, target, as_json)


def _target(out: Path | None) -> Path:
    from workbench.paths import stamped

    return out or stamped("profile", ".json")


def _show(profile: "Profile", target: Path, as_json: bool) -> None:
    from workbench.cli.profile_tables import profile_tables
    from workbench.paths import shown
    from workbench.profile.figures import as_json as content

    note(f"wrote {shown(target)}")
    value: dict[str, Any] = {**content(profile), "out": shown(target)}
    emit(value, as_json, lambda: profile_tables(profile))
