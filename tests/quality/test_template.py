"""Templates of strangers: what they may write, and what they may not reach."""

from pathlib import Path

import pytest

from workbench.errors import Failure, UsageError
from workbench.models.documents import chat_prompt
from workbench.models.shipped import shipped_folder
from workbench.quality.chat import beside, of_server, required
from workbench.quality.template import Template


def test_a_prompt_is_made_of_columns() -> None:
    text = "{% for choice in choices %}{{ 'AB'[loop.index0] }}. {{ choice }}\n{% endfor %}Answer:"
    assert Template(text, "t").render({"choices": ["x", "y"]}) == "A. x\nB. y\nAnswer:"


@pytest.mark.parametrize(("text", "said"), [
    ("{{ ''.__class__.__mro__ }}", "is unsafe"),
    ("{{ lipsum.__globals__['os'] }}", "unsafe|undefined"),
    ("{{ items.append(1) }}", "is unsafe"),
    ("{{ 'x' * 10000000000 }}", "a repetition beyond"),
    ("{{ 10000000000 * [1] }}", "a repetition beyond"),
    ("{{ 9 ** 9999999 }}", "a power of large numbers"),
    ("{{ '%9999999d' % 1 }}", "padded so wide"),
    ("{% for i in range(10000000000) %}x{% endfor %}", "more than 10000 steps"),
    ("{% for i in range(9000) %}{{ 'x' * 9000 }}{% endfor %}", "writes more than"),
    ("{% include '/etc/passwd' %}", "no loader"),
    ("{{ missing }}", "'missing' is undefined"),
    ("{{ 1 / 0 }}", "ZeroDivisionError"),
    ("{{ raise_exception('no system message here') }}", "no system message here"),
])
def test_what_a_template_may_not_do(text: str, said: str) -> None:
    with pytest.raises(Failure, match=said):
        Template(text, "t").render({"items": [1]})


def test_what_is_no_template_is_said() -> None:
    with pytest.raises(UsageError, match="t: not a Jinja template"):
        Template("{% for %}", "t")


def test_the_shipped_chat_template_writes_what_the_model_was_trained_on() -> None:
    found = required(beside(shipped_folder() / "tokenizer.json"), "t")
    asked = chat_prompt([("user", "Which river?")])
    assert found.prompt("", "Which river?") == f"<|endoftext|>{asked}"
    assert found.prompt("Be short.", "Which river?") == (
        f"<|endoftext|>{chat_prompt([('system', 'Be short.'), ('user', 'Which river?')])}")


def test_a_model_without_a_chat_template_is_refused_naming_the_remedy(tmp_path: Path) -> None:
    assert beside(tmp_path) is None
    assert of_server({"chat_template": ""}) is None
    with pytest.raises(UsageError, match="task t: chat: the model has no chat template"):
        required(None, "t")
