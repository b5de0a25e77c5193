"""The format matrix: every cell says what happened, or why nothing was tried."""

import pytest

from engines import NAMES
from workbench.flows.formats import matrix, readers, words
from workbench.flows.formats_page import formats_page
from workbench.models import quantise


@pytest.mark.parametrize(("row", "said"), [
    ({"untried": "needs an NVIDIA GPU"}, "untried: needs an NVIDIA GPU"),
    ({"refused": "KeyError"}, "refuses: KeyError"),
    ({"perplexity": 1.9771, "good": True}, "reads (perplexity 1.977)"),
    ({"perplexity": 20.0, "good": False}, "reads wrongly (perplexity 20)"),
])
def test_a_cell_in_words(row: dict[str, object], said: str) -> None:
    assert words(row) == said


def test_every_method_has_a_row_and_every_row_an_outcome() -> None:
    found = matrix()
    assert {row["format"] for row in found["rows"]} >= set(quantise.METHODS)
    for row in found["rows"]:
        assert len({"untried", "refused", "perplexity"} & set(row)) == 1, row
        assert row["device"] in ("CPU", "GPU")
        assert row["engine"].split(" ")[0] in (*NAMES, "exllama", "")
    assert not any(row.get("good") is False for row in found["rows"] if row["engine"] == "llama.cpp")


def test_what_was_tried_is_what_inspect_says() -> None:
    assert readers("GGUF", "q4_0")["llama.cpp"].startswith("reads (perplexity")
    assert readers("GGUF", "no such") == {}


def test_the_page_holds_every_row() -> None:
    page = formats_page()
    for row in matrix()["rows"]:
        assert f"| {row['format']} |" in page
        assert row.get("untried", row.get("refused", "")).replace("|", "/").replace("<", "&lt;") in page
        assert row["engine"] in page
