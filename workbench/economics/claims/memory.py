"""What fits where: chapters 2, 10, 11 to 18 and appendix G."""

from workbench.economics.claims.found import (
    Found,
    ceiling_tok_per_s,
    judged,
    room_tok,
    splits,
    usable_gib,
    weights_gib,
)
from workbench.hardware import models
from workbench.hardware.memory import Split, activation_bytes

GB = 1e9
LINES_GBIT_PER_S = (1, 10, 100)
STEP_TOK, SEQUENCES = 2048, 256  # an engine's usual limits
REQUEST_TOK = 2048


def formula_without_kv() -> Found:
    """16 requests of 4,096 tokens beside the weights, 16 bits both."""
    numbers = {}
    for name, short in (("Llama-2-7b", "llama2_7b"), ("Llama-3.1-8B", "llama31_8b")):
        found = models.find(name)
        numbers[f"{short}_weights_gb"] = found.weight_bytes() / GB
        numbers[f"{short}_kv_gb"] = found.kv_bytes(4096) * 16 / GB
    return judged(numbers, holds=numbers["llama2_7b_kv_gb"] < 0.2 * numbers["llama2_7b_weights_gb"])


def seven_b_sizes() -> Found:
    seven, eight = models.find("Llama-2-7b"), models.find("Llama-3.1-8B")
    numbers = {"7b_fp16_gb": seven.weight_bytes("f16") / GB, "7b_q4_0_gb": seven.weight_bytes("Q4_0") / GB,
               "7b_q4_k_m_gb": seven.weight_bytes("Q4_K_M") / GB, "8b_fp16_gb": eight.weight_bytes("f16") / GB,
               "8b_q4_k_m_gb": eight.weight_bytes("Q4_K_M") / GB}
    fits = abs(numbers["7b_fp16_gb"] - 14) < 1 and abs(numbers["7b_q4_k_m_gb"] - 4) < 0.5
    return Found("incomplete" if fits else "wrong", numbers)  # of the weights; memory needs the KV cache as well


def eight_b_on_small_hardware() -> Found:
    rooms = {quant: room_tok("Llama-3.1-8B", quant, "RTX3060") for quant in ("f16", "Q8_0", "Q4_K_M")}
    numbers = {f"kv_tok_3060_{quant.lower()}": rooms[quant] for quant in rooms}
    numbers |= {f"ceiling_{name}_tok_per_s": ceiling_tok_per_s("Llama-3.1-8B", "Q4_K_M", card) for name, card in (
        ("3060", "RTX3060"), ("m1_pro", "M1-Pro"), ("cpu", "CPU-8core-DDR5"))}
    return judged(numbers, holds=rooms["f16"] > 0, otherwise="incomplete")


def thirty_b_must_be_quantised() -> Found:
    """Whether bf16 leaves room for 16 requests of 2,048 tokens on one card of 80 GB."""
    numbers = {"weights_gib": weights_gib("Qwen3-32B", "bf16"), "kv_tok_80gb": room_tok("Qwen3-32B", "bf16", "H100"),
               "kv_tok_48gb": room_tok("Qwen3-32B", "bf16", "L40S")}
    return judged(numbers, holds=numbers["kv_tok_80gb"] < 16 * REQUEST_TOK)


def savings_allow_larger_batches() -> Found:
    numbers = {f"kv_tok_{quant.lower()}": room_tok("Qwen3-32B", quant, "H100") for quant in ("bf16", "Q8_0", "Q4_K_M")}
    more = numbers["kv_tok_q4_k_m"] > numbers["kv_tok_q8_0"] > numbers["kv_tok_bf16"]
    return Found("incomplete" if more else "wrong", numbers)  # of memory; the batch's speed is another question


def seventy_b_concurrency() -> Found:
    numbers = {f"requests_{n}x80gb": room_tok("Llama-3.1-70B", "bf16", "H100", n) // REQUEST_TOK for n in (2, 4)}
    return judged(numbers, holds=numbers["requests_4x80gb"] < 32, otherwise="incomplete")


def seventy_b_needs_two_to_four() -> Found:
    numbers = {"bf16_gib": weights_gib("Llama-3.1-70B", "bf16"),
               "kv_tok_fp8_h200": room_tok("Llama-3.1-70B", "fp8", "H200"),
               "tp3_splits": float(splits(models.find("Llama-3.1-70B"), "bf16", 3))}
    return judged(numbers, holds=numbers["kv_tok_fp8_h200"] < 0 and bool(numbers["tp3_splits"]), otherwise="incomplete")


def four_hundred_b_on_eight() -> Found:
    coder = models.find("Qwen3-Coder-480B-A35B")
    numbers = {"usable_gib": usable_gib("H100", 8), "405b_bf16_gib": weights_gib("Llama-3.1-405B", "bf16"),
               "405b_fp8_gib": weights_gib("Llama-3.1-405B", "fp8"),
               "405b_fp8_kv_tok": room_tok("Llama-3.1-405B", "fp8", "H100", 8),
               "480b_fp8_gib": weights_gib("Qwen3-Coder-480B-A35B", "fp8"),
               "480b_fp8_splits_8_ways": float(splits(coder, "fp8_block", 8))}
    return judged(numbers, holds=numbers["405b_bf16_gib"] < numbers["usable_gib"], otherwise="incomplete")


def four_hundred_b_on_four() -> Found:
    numbers = {"usable_gib": usable_gib("H100", 4), "fp8_gib": weights_gib("Llama-3.1-405B", "fp8"),
               "4_bit_gib": weights_gib("Llama-3.1-405B", "int4_wo"),
               "4_bit_kv_tok": room_tok("Llama-3.1-405B", "int4_wo", "H100", 4)}
    return judged(numbers, holds=numbers["fp8_gib"] < numbers["usable_gib"],
                  otherwise="incomplete" if numbers["4_bit_gib"] < numbers["usable_gib"] else "wrong")


def mini_lab() -> Found:
    numbers = {"weights_gib": weights_gib("Llama-3.1-70B", "Q4_K_M"), "usable_gib": usable_gib("RTX4090", 2),
               "kv_tok": room_tok("Llama-3.1-70B", "Q4_K_M", "RTX4090", 2),
               "ceiling_in_turn_tok_per_s": ceiling_tok_per_s("Llama-3.1-70B", "Q4_K_M", "RTX4090"),
               "ceiling_together_tok_per_s": ceiling_tok_per_s("Llama-3.1-70B", "Q4_K_M", "RTX4090", 2)}
    return judged(numbers, holds=numbers["kv_tok"] > 16 * REQUEST_TOK, otherwise="incomplete")


def seventy_b_on_tpu_v4_8() -> Found:
    numbers = {"weights_gib": weights_gib("Llama-3.1-70B", "bf16"), "four_chips_gib": 4 * 32.0}
    return judged(numbers, holds=numbers["weights_gib"] < numbers["four_chips_gib"])


def gradient_checkpointing() -> Found:
    """It drops activations that a backward pass will need. Inference has none: what one step of 2,048 tokens holds of
    a 70B beside its weights is all there is to save."""
    seventy = models.find("Llama-3.1-70B")
    held = activation_bytes(seventy, Split(1), SEQUENCES, STEP_TOK)
    numbers = {"activations_gib": held / 2**30, "weights_gib": weights_gib("Llama-3.1-70B", "bf16"),
               "activations_frac": held / seventy.weight_bytes("bf16")}
    return judged(numbers, holds=numbers["activations_frac"] > 0.1)


def cold_start() -> Found:
    """Only the weights, only over the line: a bound of how soon a rented machine can help."""
    return Found("missing", {f"{name}_{line}_gbit_s": models.find(model).weight_bytes(quant) * 8 / (line * 1e9)
                             for name, model, quant in (("8b_fp8", "Llama-3.1-8B", "fp8"),
                                                        ("405b_fp8", "Llama-3.1-405B", "fp8"))
                             for line in LINES_GBIT_PER_S})
