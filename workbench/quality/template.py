"""Templates that others wrote: Jinja in a sandbox, without files, bounded in what they may write."""

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from jinja2 import StrictUndefined, Undefined
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from workbench.errors import Failure, UsageError

MOST_CHARS = 1_000_000


def _raise(message: str) -> NoReturn:
    """Chat templates refuse with this; Hugging Face's name for it."""
    raise TemplateError(message)


class _Bounded(ImmutableSandboxedEnvironment):
    """Jinja's sandbox keeps a template from our objects; this keeps it from our memory."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and max(abs(left), abs(right)) > 1000:
            raise SecurityError("a power of large numbers")
        if operator == "*":
            times = [value for value in (left, right) if isinstance(value, int)]
            size = max((len(value) for value in (left, right) if hasattr(value, "__len__")), default=1)
            if size * max(times, default=1) > MOST_CHARS and size > 0 and len(times) < 2:
                raise SecurityError(f"a repetition beyond {MOST_CHARS}")
        if operator == "%" and isinstance(left, str) and re.search(r"\d{4,}|\*", left):
            raise SecurityError("a format that is padded so wide")
        return super().call_binop(context, operator, left, right)


class Template:
    """One text with holes. `where` is how errors call it. `strict`: a hole without a value is an error."""

    def __init__(self, text: str, where: str, *, strict: bool = True) -> None:
        self.text, self.where = text, where
        environment = _Bounded(
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
