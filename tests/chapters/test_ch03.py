"""Chapter 3: what a name says, and which format the answer takes."""

import pytest

from workbench.chapters import ch03
from workbench.chapters.ch03 import Name, read_name
from workbench.errors import UsageError


@pytest.mark.parametrize(("name", "said", "weight_gb"), [
    ("Llama-3.1-8B-Instruct-Q4_K_M.gguf", Name(8.0, 8.0, "Instruct", "Q4_K_M"), None),
    ("owner/Qwen3-30B-A3B", Name(30.0, 3.0, "", ""), 60.0),
    ("Mixtral-8x7B-v0.1", Name(56.0, None, "", ""), 112.0),
    ("Qwen3-32B-FP8", Name(32.0, 32.0, "", "fp8"), 32.0),
    ("Llama-3.2-1B", Name(1.0, 1.0, "", ""), 2.0),
    ("gpt-oss", Name(None, None, "", ""), None),
])
def test_what_a_name_says(name: str, said: Name, weight_gb: float | None) -> None:
    found = read_name(name)
    assert (found.total_b, found.active_b, found.tuned) == (said.total_b, said.active_b, said.tuned)
    assert found.quant.lower() == said.quant.lower()
    if weight_gb is not None:
        assert found.weight_gb == weight_gb


def test_no_name_is_refused() -> None:
    with pytest.raises(UsageError, match="names: give one or several"):
        ch03.name_table(" , ")


def test_the_answer_is_the_smallest_that_surely_keeps_nineteen_in_twenty() -> None:
    rows = ch03.kept()
    good = [row for row in rows if (row.tasks[ch03.TASK].retained_low or 0.0) >= 0.95 or row.words["quant"] == "F16"]
    least = min(good, key=lambda row: row.values["bytes"]).words["quant"]
    assert f"**{least}** is the smallest" in ch03.answer(rows).text
