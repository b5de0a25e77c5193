"""Templates that others wrote: Jinja in a sandbox, without files, bounded in what they may write."""

from collections.abc import Mapping
from typing import Any, NoReturn

from jinja2 import StrictUndefined, Undefined
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from workbench.errors import Failure, UsageError

MOST_CHARS = 1_000_000


def _raise(message: str) -> NoReturn:
    """Chat templates refuse with this; Hugging Face's name for it."""
    raise TemplateError(message)


class Template:
    """One text with holes. `where` is how errors call it. `strict`: a hole without a value is an error."""

    def __init__(self, text: str, where: str, *, strict: bool = True) -> None:
        self.text, self.where = text, where
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
            undefined=StrictUndefined if strict else Undefined,
        )
        environment.globals["raise_exception"] = _raise
        environment.globals["range"] = _short_range
        try:
            self._template = environment.from_string(text)
        except TemplateError as error:
            raise UsageError(f"{where}: not a Jinja template: {error}") from None

    def render(self, values: Mapping[str, Any]) -> str:
        """Raises Failure in one line for a hole that cannot be filled, or for what the sandbox refuses."""
        pieces, length = [], 0
        try:
            for piece in self._template.generate(**values):
                length += len(piece)
                if length > MOST_CHARS:
                    raise Failure(f"{self.where}: the template writes more than {MOST_CHARS} characters")
                pieces.append(piece)
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError,
                RecursionError) as error:
            raise Failure(f"{self.where}: the template fails: {type(error).__name__}: {error}") from None
        return "".join(pieces)


def _short_range(*bounds: int) -> range:
    """`range` that cannot keep a machine busy for hours."""
    found = range(*bounds)
    if len(found) > 10_000:
        raise ValueError("a range of more than 10000 steps")
    return found
