"""The code in what a model wrote: without its reasoning, its fences, and what it wrote after the function."""

import re
from collections.abc import Sequence

STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")  # arXiv 2107.03374, section 2.1
_REASONING = ("think", "thinking", "reasoning", "reflection")
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)


def without_reasoning(text: str) -> str:
    """The answer after the reasoning. A block that a template opened has an end only; one that was cut off has no
    end, and no answer after it."""
    for tag in _REASONING:
        text = text.rpartition(f"</{tag}>")[2].partition(f"<{tag}>")[0]
    return text


def until(text: str, stops: Sequence[str]) -> str:
    """`text` up to the first of `stops`, for an engine that did not stop there itself."""
    return text[:min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


def completion(text: str, stops: Sequence[str] = STOPS) -> str:
    """What a base model wrote after the prompt: the rest of the function's body."""
    return until(text, stops)


def answer(text: str, name: str) -> str:
    """What a chat model answered: the last block of code that defines `name`, else the last block, else everything."""
    text = without_reasoning(text)
    blocks = [match[2] for match in _FENCE.finditer(text)]
    defining = [block for block in blocks if _defines(block, name)]
    return (defining or blocks or [text])[-1]


def solution(prompt: str, text: str, name: str, *, chat: bool) -> str:
    """The program to test. A chat model that repeats the signature replaces the prompt's, whose imports and helpers
    stay; one that answers with the body alone continues it."""
    if not chat:
        return prompt + completion(text)
    code = answer(text, name)
    return f"{prompt}\n    pass\n\n{code}" if _defines(code, name) else prompt + completion(code)


def _defines(code: str, name: str) -> bool:
    return re.search(rf"^(async )?def {re.escape(name)}\b", code, re.MULTILINE) is not None
