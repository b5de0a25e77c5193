"""What makes two requests the same, and which answers may be kept at all."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

SEPARATORS = (",", ":")


class CacheKey(NamedTuple):
    """`digest` covers everything; model and revision beside it so that a revision can be withdrawn."""

    model: str
    revision: str
    digest: str


def cache_key(model: str, revision: str, parameters: Mapping[str, Any], prompt: str, scope: str) -> CacheKey:
    """Equal only for equal model, revision, parameters (in any order), prompt and scope.

    `scope` is the tenant, or a name under which tenants agreed to share. The prompt itself is not kept. Raises
    ValueError for parameters that JSON cannot hold, and for an empty scope: forgetting it must not share everything.
    """
    if not scope:
        raise ValueError("scope '': name the tenant, or whom the answers are shared with")
    try:
        text = json.dumps([model, revision, parameters, prompt, scope], sort_keys=True, allow_nan=False,
                          separators=SEPARATORS, default=_refuse)
    except (TypeError, ValueError) as error:
        raise ValueError(f"parameters cannot be part of a cache key: {error}") from None
    _string_names(parameters)
    return CacheKey(model, revision, hashlib.sha256(text.encode("ascii")).hexdigest())


def _refuse(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} is not JSON")


def _string_names(value: object) -> None:
    """JSON would write the names 1 and '1' alike."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise ValueError(f"parameters cannot be part of a cache key: name {name!r} is not a string")
            _string_names(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _string_names(inner)


def why_not(parameters: Mapping[str, Any], *, time_dependent: bool = False) -> str:
    """Why an answer must not be kept, or "" if it may.

    A sampled answer is one of many, and keeping it makes it the only one; without a temperature the engine's default
    applies, which is not 0. Tools act, or read what changes.
    """
    if time_dependent:
        return "it depends on the time"
    if parameters.get("temperature") != 0:
        return "its temperature is not 0"
    if parameters.get("tools"):
        return "it may call tools"
    return ""
