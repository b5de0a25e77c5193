"""Browsers and edge devices: chapter 5.5 and appendix H."""

import tomllib

from workbench.economics.claims.found import Found, judged
from workbench.files import read_json
from workbench.hardware import models
from workbench.paths import datasets

WASM32_BYTES = 4 << 30  # addresses of 32 bits
LINE_BITS_PER_S = 50e6  # a household's line, as the register has it


def first_visit() -> Found:
    """Download of the browser model that the book names, before anything is answered."""
    shipped = tomllib.loads((datasets() / "browser" / "models.toml").read_text(encoding="utf-8"))["model"]
    phi = next(one for one in shipped if "phi-3-mini" in one["id"].lower())
    seconds = phi["download_bytes"] * 8 / LINE_BITS_PER_S
    return judged({"download_gb": phi["download_bytes"] / 1e9, "first_visit_s": seconds}, holds=seconds < 1)


def seven_b_in_the_browser() -> Found:
    """A Q4 file with 4,096 tokens of 16-bit KV against the address space of wasm32."""
    numbers = {}
    for name, short in (("Llama-2-7b", "7b"), ("Llama-3.1-8B", "8b")):
        found = models.find(name)
        numbers[f"{short}_gb"] = (found.weight_bytes("Q4_K_M") + found.kv_bytes(4096)) / 1e9
    numbers["wasm32_gb"] = WASM32_BYTES / 1e9
    return judged(numbers, holds=numbers["7b_gb"] < numbers["wasm32_gb"], otherwise="incomplete")


def int4_and_int2() -> Found:
    """The shipped tiny model: what a few bits leave of it."""
    curve = read_json(datasets() / "models" / "tiny" / "curve.json")
    four = min(curve, key=lambda row: abs(row["bits_per_weight"] - 4.5))
    two = min(curve, key=lambda row: row["bits_per_weight"])
    numbers = {"bits_four": four["bits_per_weight"], "cloze_four": four["cloze"], "bits_least": two["bits_per_weight"],
               "cloze_least": two["cloze"]}
    return judged(numbers, holds=two["cloze"] > 0.9, otherwise="incomplete")


def browser_bits() -> Found:
    """Downloads of a 1B in three formats: what fewer bits save of the first visit."""
    one = models.find("Llama-3.2-1B")
    numbers = {f"{quant.lower()}_mb": one.weight_bytes(quant) / 1e6 for quant in ("Q8_0", "Q4_K_M", "Q3_K_M")}
    small = numbers["q3_k_m_mb"] < numbers["q4_k_m_mb"] < numbers["q8_0_mb"]
    return Found("incomplete" if small else "wrong", numbers)  # of the download; the speed is another question
