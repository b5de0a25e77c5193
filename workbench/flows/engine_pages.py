"""The generated page of every engine's options: what it takes under which name, what it refuses and why."""

from typing import Any

from engines import NAMES, find
from engines.common import COMMON
from workbench.flows.engines import common_of, options_of


def options_page() -> str:
    """docs/engines/options.md."""
    text = (
        "# Options of every engine\n\nGenerated from the records in `engines/`. What every engine can be asked "
        "for has one common name: an engine takes it, perhaps under another, or refuses it and says why. A neutral "
        "value (one GPU, `auto`) asks nothing and is accepted everywhere. `null` is the engine's own default.\n\n"
        "| common name | what |\n| --- | --- |\n"
    )
    text += "".join(f"| `{name}` | {meaning} |\n" for name, meaning in COMMON.items())
    return text + "".join(_section(name) for name in NAMES)


def _section(name: str) -> str:
    engine = find(name)
    reads = ", ".join(engine.formats) or "no model of ours"
    text = f"\n## {name}\n\n{engine.title}. Reads: {reads}. {_where(engine)}\n\n"
    text += "| option | default | what |\n| --- | --- | --- |\n"
    for item in options_of(engine.options):
        default = "required" if item["required"] else f"`{_plain(item['default'])}`"
        text += f"| `{item['name']}` | {default} | {item['meaning'].replace('|', '/')} |\n"
    common = common_of(engine)
    taken = [item for item in common if item["own"] is not None]
    refused = [item for item in common if item["refused"] is not None]
    if taken:
        names = (_code(item) + ("" if item["own"] == item["name"] else f" (as `{item['own']}`)") for item in taken)
        text += f"\nTakes: {', '.join(names)}.\n"
    if len({item["refused"] for item in refused}) == 1 and len(refused) > 1:
        return text + f"\nRefuses: {', '.join(_code(item) for item in refused)}: {refused[0]['refused']}.\n"
    if refused:
        text += "\nRefuses:\n\n" + "".join(f"- {_code(item)}: {item['refused']}\n" for item in refused)
    return text


def _where(engine: Any) -> str:
    return f"{engine.tested[:1].upper()}{engine.tested[1:]}."


def _code(item: dict[str, Any]) -> str:
    return f"`{item['name']}`"


def _plain(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
