"""The profiles of compiled devices that ship (datasets/profiles/edge): rooflines, padded to the shapes that each has.

    python -m workbench.profile.edge_shelf      writes them again
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from workbench import paths
from workbench.hardware import accelerators, architecture
from workbench.profile.buckets import Bucketed, exponential, gapped
from workbench.profile.profile import Profile, write_shipped
from workbench.profile.roofline_profile import profile

SECOND_NS = 10**9
TPU = "vLLM docs/configuration/tpu.md (v0.11.2): buckets from 16, doubling, or every VLLM_TPU_BUCKET_PADDING_GAP"
GRAPHS = "vLLM docs, CompilationConfig.cudagraph_capture_sizes: 1, 2, 4, then every 8; captured before it serves"


def warm_v6e() -> Profile:
    """Compiled before it serves, as vLLM does it: a slow start, no surprise afterwards."""
    base = profile(accelerators.find("TPU-v6e"), architecture.find("Llama-3.1-8B"))
    most = int(base.rules["max_num_batched_tokens"])
    return _bucketed(base, TPU, token_buckets=exponential(16, most))


def lazy_v5e() -> Profile:
    """Compiled as shapes come: a quick start that the first requests pay for."""
    base = profile(accelerators.find("TPU-v5e"), architecture.find("Llama-3.1-8B"), tp=4)
    most = int(base.rules["max_num_batched_tokens"])
    return _bucketed(base, TPU, token_buckets=gapped(16, most, 128), compile_ns=20 * SECOND_NS, thin=(
        "20 s for each compilation are assumed: the same page says 'a few minutes to an hour' for all of them",))


def graphs_orin() -> Profile:
    """An edge device: decodes are padded to the next captured graph, prompts are not."""
    base = profile(accelerators.find("Jetson-AGX-Orin-64GB"), architecture.find("Llama-3.2-1B"))
    rules = {**base.rules, "max_num_seqs": 32}
    return _bucketed(base.model_copy(update={"rules": rules}), GRAPHS, batch_buckets=(1, 2, 4, *range(8, 33, 8)))


SHELF: Mapping[str, Callable[[], Profile]] = {
    "llama-3.1-8b-tpu-v6e-tp1-bf16": warm_v6e, "llama-3.1-8b-tpu-v5e-tp4-bf16-lazy": lazy_v5e,
    "llama-3.2-1b-jetson-agx-orin-bf16": graphs_orin,
}


def _bucketed(base: Profile, source: str, *, token_buckets: tuple[int, ...] = (), batch_buckets: tuple[int, ...] = (),
              compile_ns: int = 0, thin: tuple[str, ...] = ()) -> Profile:
    model = Bucketed(**{**base.model.model_dump(exclude={"kind"}), "token_buckets": token_buckets,
                        "batch_buckets": batch_buckets, "compile_ns": compile_ns})
    return base.model_copy(update={
        "model": model, "provenance": {**base.provenance, "buckets": {"source": source}},
        "thin": (*base.thin, "padding costs what as many more tokens would, outside attention", *thin)})


def main(folder: Path | None = None) -> None:
    folder = folder or paths.datasets() / "profiles" / "edge"
    for name, make in SHELF.items():
        write_shipped(make(), folder / f"{name}.json")


if __name__ == "__main__":
    main()
