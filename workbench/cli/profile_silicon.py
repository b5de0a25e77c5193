"""`workbench profile silicon`: a profile from NVIDIA's kernel database."""

from pathlib import Path

import click

from workbench.cli.common import emit, json_option, note


@click.command()
@click.option("--model", required=True, help="Model id, such as Qwen/Qwen3-32B.")
@click.option("--gpu", required=True, help="GPU, such as h100_sxm, h200, b200, a100 or l40s.")
@click.option("--tp", type=click.IntRange(min=1), default=1, show_default=True, help="Tensor parallel: GPUs per layer.")
@click.option("--pp", type=click.IntRange(min=1), default=1, show_default=True, help="Pipeline stages.")
@click.option("--dp", type=click.IntRange(min=1), default=1, show_default=True,
              help="Ranks in lock step that share the experts.")
@click.option("--ep", type=click.IntRange(min=1), default=1, show_default=True,
              help="Groups that the experts are spread over; divides --tp x --dp.")
@click.option("--engine", default="vllm", show_default=True, help="vllm, sglang or trtllm.")
@click.option("--quant", default="bf16", show_default=True, help="bf16, fp8, fp8_block, nvfp4, mxfp4, int8, int4.")
@click.option("--kv-type", default="bf16", show_default=True, help="KV cache: bf16 or fp8.")
@click.option("--out", type=click.Path(path_type=Path), default=None,
              help="Where the profile is written (default: runs/profile-TIME.json).")
@json_option
def silicon(
    model: str, gpu: str, tp: int, pp: int, dp: int, ep: int, engine: str, quant: str, kv_type: str,
    out: Path | None, as_json: bool,
) -> None:
    """Make a profile of a model on GPUs from measured kernels (NVIDIA's aiconfigurator-core).

    \b
    Example:
      workbench profile silicon --model Qwen/Qwen3-32B --gpu h100_sxm --tp 2 --engine vllm --quant fp8
    """
    from workbench.cli.profile_tables import profile_tables
    from workbench.flows.silicon import make
    from workbench.paths import shown, stamped
    from workbench.profile.figures import as_json as content

    target = out or stamped("profile", ".json")
    found = make(model, gpu, target, split={"tp": tp, "pp": pp, "dp": dp, "ep": ep}, engine=engine, quant=quant,
                 kv_type=kv_type)
    note(f"wrote {shown(target)}")
    emit({**content(found), "out": shown(target)}, as_json, lambda: profile_tables(found))
