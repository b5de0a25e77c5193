"""`workbench validate vllm`: a measured vLLM run against its simulation on kernel tables."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option

FILE = click.Path(path_type=Path)


@click.command()
@click.option("--perf", type=FILE, required=True, help="Kernel tables: a folder GPU/MODEL/bf16 that holds tp1, tp2 ...")
@click.option("--model-config", type=FILE, required=True, help="The model's config.json.")
@click.option("--workload", type=FILE, default=None,
              help="JSON lines with input_toks and hash_ids_16: who shares which prefix (default: nobody).")
@click.option("--measured", type=FILE, required=True,
              help="Folder with config.json and vllm/{meta.json,requests.jsonl}, or a request log (JSON lines).")
@click.option("--kv-blocks", type=click.IntRange(min=2), default=None,
              help="num_gpu_blocks, where the run does not state it (default: derived from memory).")
@click.option("--host-us", type=click.FloatRange(min=0), default=None,
              help="Host overhead of a step that is launched kernel by kernel (default: the one estimate, 4000).")
@click.option("--tp", type=click.IntRange(min=1), default=None, help="Tensor parallelism, where not stated.")
@click.option("--max-num-seqs", type=click.IntRange(min=1), default=None, help="As vLLM's, where not stated.")
@click.option("--max-num-batched-tokens", type=click.IntRange(min=1), default=None,
              help="As vLLM's, where not stated.")
@click.option("--sensitivity/--no-sensitivity", default=True, show_default=True,
              help="Simulate again with 0, 0.5, 1.5 and 2 times the host overhead.")
@click.option("--ablation", is_flag=True, help="Simulate again without each term of the model.")
@json_option
def command(perf: Path, model_config: Path, workload: Path | None, measured: Path, kv_blocks: int | None,
            host_us: float | None, tp: int | None, max_num_seqs: int | None, max_num_batched_tokens: int | None,
            sensitivity: bool, ablation: bool, as_json: bool) -> None:
    """Simulate a measured vLLM run request for request, and say how far off the simulation is.

    Iteration times come from kernel tables in LLMServingSim's format. Parallel degrees, limits, link and memory are
    read from the measured folder. Of a request log each line holds request_id, input_toks, output_toks, queued_ts,
    first_token_ts, last_token_ts and, if known, arrival_time (all in seconds); config.json and meta.json beside it
    are read where they are there.

    \b
    Example:
      workbench validate vllm --perf perf/RTXPRO6000/meta-llama/Llama-3.1-8B/bf16 --model-config Llama-3.1-8B.json \\
          --workload sharegpt.jsonl --measured bench/RTXPRO6000/Llama-3.1-8B
    """
    from workbench.flows.validate_vllm import validate_vllm

    asked = {"tp": tp, "max_num_seqs": max_num_seqs, "max_num_batched_tokens": max_num_batched_tokens}
    found = validate_vllm(
        perf, model_config, workload, measured, kv_blocks=kv_blocks, host_us=host_us, asked=asked,
        sensitivity=sensitivity, ablation=ablation,
    )
    emit(found, as_json, lambda: table_of(found))


def table_of(found: dict[str, Any]) -> Any:
    """Measured, simulated and error per metric, then what it rests on."""
    from rich.console import Group
    from rich.table import Table

    from workbench.cli.tables import number

    table = Table("metric", "", "measured", "simulated", "error", "per request", "n", box=None)
    for name, block in found["metrics"].items():
        each = "n/a" if block["mape_frac"] is None else f"{block['mape_frac']:.1%}"
        for stat in ("mean", "p50", "p95", "p99"):
            cell, more = block[stat], (each, str(block["n"]["measured"])) if stat == "mean" else ("", "")
            table.add_row(name, stat, number(cell["measured"], "s"), number(cell["simulated"], "s"),
                          _percent(cell["rel_error_frac"]), *more)
    blocks, limits = found["kv_blocks"], found["limits"]
    lines = [
        f"{escape(found['subject']['model'])} on {found['subject']['gpus']} x {escape(found['subject']['gpu'])}, "
        f"TP {limits['tp']}, {limits['ranks']} lock-step ranks, {limits['replicas']} replicas",
        f"KV blocks {blocks['value']} ({blocks['origin']}: {escape(blocks['basis'])})",
        f"{found['requests']} requests, {_left_out(found)}; {found['iterations']} iterations, "
        f"{found['preemptions']} preemptions, {found['cpu_s']:.2f} CPU seconds",
        f"link: {escape(found['link'])}; host overhead {found['host_overhead_us']:g} us a launched step",
        _outside(found["outside_profile_range"]),
        *[escape(text) for text in found["thin"]],
    ]
    if found["timeseries"]:
        series = found["timeseries"]
        shown = ("running_mean", "running"), ("waiting_mean", "waiting"), ("gen_tok_per_s", "tokens/s")
        lines.append(", ".join(f"{label} {series[key]['measured']:.1f} measured, {series[key]['simulated']:.1f} "
                               "simulated" for key, label in shown))
    return Group(table, "", *lines, *_variants(found))


def _left_out(found: dict[str, Any]) -> str:
    first = found["left_out_first"]
    return f"{found['left_out']} left out" + (f" (first: {escape(first)})" if first else "")


def _outside(found: dict[str, Any]) -> str:
    if not found["outside"]:
        return "every iteration lies inside the range of the kernel tables"
    fields = ", ".join(f"{name} {n}" for name, n in found["fields"].items())
    return (f"{found['outside']} of {found['iterations']} iterations ({found['frac']:.1%}) lie outside the range of "
            f"the kernel tables: {fields}")


def _variants(found: dict[str, Any]) -> list[Any]:
    from rich.table import Table

    rows = found["sensitivity"] + found["ablation"]
    if not rows:
        return []
    table = Table("error of the mean", "TTFT", "TPOT", "E2E", box=None)
    for row in rows:
        table.add_row(row["variant"], *[_percent(row[f"{key}_mean_rel_error_frac"]) for key in (
            "ttft_s", "tpot_s", "e2e_s")])
    return ["", table]


def _percent(value: float | None) -> str:
    return "n/a" if value is None else format(value, "+.1%")
