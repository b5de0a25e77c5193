"""What engines there are, what of them is here, and how to get the rest."""

from typing import Any

from engines import NAMES, Engine, find, from_command_line
from engines.common import COMMON, Refuses, Takes
from workbench.config import Settings

WHERE = {
    "base": "installed with the workbench",
    "extra": "an extra of the workbench",
    "own environment": "lives in an environment of its own",
    "endpoint": "runs already, elsewhere",
}


def list_engines() -> list[dict[str, Any]]:
    """Every engine, in one dict each: name, title, installed, version, launches, missing, get."""
    return [describe(find(name)) for name in NAMES]


def describe(engine: Engine) -> dict[str, Any]:
    version = engine.version()
    here = version is not None or engine.place == "endpoint"
    return {
        "name": engine.name, "title": engine.title, "installed": here, "version": version,
        "launches": engine.launches, "missing": "" if here else (engine.distribution or engine.name),
        "get": "" if here else engine.get,
    }


def show_engine(name: str) -> dict[str, Any]:
    """All that is known of one engine, options with their defaults included. Raises UsageError.

    `name` may be a FILE.py:NAME, for it comes from a command line.
    """
    engine = from_command_line(name)
    return {
        **describe(engine), "get": engine.get, "place": engine.place, "place_means": WHERE[engine.place],
        "formats": list(engine.formats), "quantisations": list(engine.quants),
        "metrics": dict(engine.metrics), "note": engine.note, "tested": engine.tested,
        "options": options_of(engine.options), "common": common_of(engine), "source": engine.source,
    }


def common_of(engine: Engine) -> list[dict[str, Any]]:
    """What the engine answers to the options that every engine is asked by one name."""
    told = []
    for name, meaning in COMMON.items():
        answer = engine.common.get(name)
        told.append({
            "name": name, "meaning": meaning, "own": answer.own if isinstance(answer, Takes) else None,
            "refused": answer.why if isinstance(answer, Refuses) else None,
        })
    return told


def options_of(kind: type[Settings]) -> list[dict[str, Any]]:
    """Name, default and meaning of each option; `required` where there is no default."""
    return [
        {"name": name, "required": item.is_required(), "default": None if item.is_required() else item.default,
         "meaning": item.description or ""}
        for name, item in kind.model_fields.items()
    ]
