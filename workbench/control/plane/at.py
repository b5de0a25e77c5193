"""Where in the `[control]` table something is wrong: every error of a part begins with its key."""

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_WORD = re.compile(r"\w+(?=[.:])")
SHOWN = 60  # characters of a value


def at(key: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """The errors of what is decorated are a ValueError of one line, `control.KEY...: ...`. Its first argument are the
    facts of the whole table."""
    def decorate(build: Callable[P, T]) -> Callable[P, T]:
        @wraps(build)
        def located(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return build(*args, **kwargs)
            except ValueError as error:
                raise type(error)(_placed(key, str(error), args[0])) from error
            except (AttributeError, KeyError, TypeError) as error:  # of another shape than it should be
                raise ValueError(f"control.{key}: {_shown(args[0], key)} is not of the shape that it should be "
                                 f"({error}); docs/control/plane.md names the keys") from error
            except (MemoryError, OverflowError) as error:
                raise ValueError(f"control.{key}: {_shown(args[0], key)} asks for more than memory holds") from error
        return located
    return decorate


def _shown(facts: Any, key: str) -> str:
    shown = repr(facts.get(key))
    return shown if len(shown) <= SHOWN else shown[:SHOWN] + "..."


def _placed(key: str, text: str, facts: Any) -> str:
    if text.startswith("control."):  # a part within this one has said so
        return text
    inside = facts.get(key)
    first = _WORD.match(text)
    if first is not None and isinstance(inside, Mapping) and first[0] in inside:  # the key goes on
        return f"control.{key}.{text}"
    if first is not None and first[0] == key:
        return f"control.{text}"
    return f"control.{key}: {text}"
