"""The code in what a model wrote."""

import pytest

from workbench.quality import extract

PROMPT = 'import math\n\ndef helper(x):\n    return x\n\ndef root(x):\n    """The root of x."""\n'
BODY = "    return math.sqrt(helper(x))\n"
WHOLE = f"def root(x):\n{BODY}"


@pytest.mark.parametrize(("text", "answer"), [
    ("<think>no, yes</think>42", "42"), ("no, yes</think>42", "42"), ("<think>no, y", ""), ("42", "42"),
    ("<think>a</think>b<think>c</think>42", "42"), ("<reasoning>a</reasoning>\n42", "\n42"),
])
def test_reasoning_goes(text: str, answer: str) -> None:
    assert extract.without_reasoning(text) == answer


@pytest.mark.parametrize(("text", "kept"), [
    (f"{BODY}\ndef next():\n    pass", BODY), (f"{BODY}\nprint(root(4))", BODY), (BODY, BODY), ("", ""),
    (f"{BODY}\n# done\n\nclass A: pass", BODY),
])
def test_a_base_models_text_ends_at_the_first_stop(text: str, kept: str) -> None:
    assert extract.completion(text) == kept


@pytest.mark.parametrize("text", [
    WHOLE, f"```python\n{WHOLE}```", f"Sure!\n```py\n{WHOLE}```\nIt works:\n```\n>>> root(4)\n2.0\n```\n",
    f"<think>\n```\ndef root(x): return 0\n```\n</think>\n```python\n{WHOLE}```", f"~~~\n{WHOLE}~~~\n",
    f"```python\ndef root(x):\n    return None\n```\nBetter:\n```python\n{WHOLE}```", f"```python\n{WHOLE}",
    f"````\n{WHOLE}\n# with ```\n````",
])
def test_a_chat_models_last_definition_counts(text: str) -> None:
    namespace: dict[str, object] = {}
    program = extract.solution(PROMPT, text, "root", chat=True)
    exec(program, namespace)  # our own text
    assert namespace["root"](9) == 3  # type: ignore[operator]


def test_a_body_alone_continues_the_prompt() -> None:
    assert extract.solution(PROMPT, f"```python\n{BODY}```", "root", chat=True) == PROMPT + BODY
    assert extract.solution(PROMPT, f"{BODY}\ndef more(): pass", "root", chat=False) == PROMPT + BODY
