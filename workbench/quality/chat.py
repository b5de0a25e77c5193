"""A model's chat template: from the files beside its tokenizer, or from the server that has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.files import read_json
from workbench.quality.template import Template

_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """Jinja text, and the special tokens that it may write."""

    text: str
    special: Mapping[str, str] = field(default_factory=dict)

    def prompt(self, system: str, user: str) -> str:
        """The whole text, with the answer still to come."""
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": user})
        values = {"messages": messages, "add_generation_prompt": True, **self.special}
        return Template(self.text, "chat template", strict=False).render(values)


def beside(tokenizer: Path | None) -> ChatTemplate | None:
    """Of a model folder, or of the folder of a tokenizer.json; None where it has none."""
    if tokenizer is None:
        return None
    folder = tokenizer if tokenizer.is_dir() else tokenizer.parent
    file, apart = folder / "tokenizer_config.json", folder / "chat_template.jinja"
    config = read_json(file) if file.is_file() else {}
    text = apart.read_text(encoding="utf-8") if apart.is_file() else config.get("chat_template")
    return ChatTemplate(text, _special(config)) if isinstance(text, str) else None


def of_server(props: Any) -> ChatTemplate | None:
    """llama.cpp's server tells the template and two special tokens at /props."""
    text = props.get("chat_template") if isinstance(props, dict) else None
    return ChatTemplate(text, _special(props)) if isinstance(text, str) and text else None


def _special(raw: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for name in _SPECIAL:
        value = raw.get(name)
        token = value.get("content") if isinstance(value, Mapping) else value
        if isinstance(token, str):
            found[name] = token
    return found


def required(found: ChatTemplate | None, task: str) -> ChatTemplate:
    if found is None:
        raise UsageError(f"task {task}: chat: the model has no chat template; leave chat out, or name a folder that "
                         "has one with `tokenizer`")
    return found
