"""Sentences of a notebook, as Markdown. Text from outside goes through `workbench.figures.escape.markdown` first."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Prose:
    text: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/markdown": self.text, "text/plain": self.text}
