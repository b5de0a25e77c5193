"""Models that the book names, and what its larger ones cost a token."""

from workbench.economics.claims.found import Found, judged, read_bytes
from workbench.errors import UsageError
from workbench.files import read_json
from workbench.hardware import models
from workbench.paths import datasets


def _known(name: str) -> bool:
    try:
        return models.find(name) is not None
    except UsageError:
        return False


def named_models() -> Found:
    """None of the three is in the table of models or among their names; what is nearest is."""
    asked = ("Llama-3.2-7B", "Llama-3.1-33B", "Qwen2.5-Coder-400B")
    instead = ("Llama-3.1-8B", "Qwen3-32B", "Llama-3.1-70B", "Qwen3-Coder-480B-A35B", "Llama-3.1-405B")
    numbers = {"that_exist": sum(map(_known, asked)), "replacements_that_exist": sum(map(_known, instead))}
    return judged(numbers, holds=numbers["that_exist"] == len(asked))


def thirty_b_against_seven_b() -> Found:
    """Bytes read for a token, bf16: a dense 32B and a mixture of 30B against 8B."""
    small = read_bytes("Llama-3.1-8B", "bf16")
    dense, mixture = (read_bytes(name, "bf16") / small for name in ("Qwen3-32B", "Qwen3-30B-A3B"))
    return judged({"dense_times": dense, "mixture_times": mixture}, holds=min(dense, mixture) > 1,
                  otherwise="incomplete")


def seventy_b_per_token() -> Found:
    return judged({"times_8b": (times := read_bytes("Llama-3.1-70B", "bf16") / read_bytes("Llama-3.1-8B", "bf16"))},
                  holds=times > 5)


def ggml_files() -> Found:
    """Of the format matrix: what was really made and tried, by container."""
    forms = [row["form"] for row in read_json(datasets() / "formats" / "matrix.json")["rows"]]
    numbers = {"forms": float(len(set(forms))), "ggml": float(forms.count("GGML"))}
    return judged(numbers, holds=numbers["ggml"] > 0)
