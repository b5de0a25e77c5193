"""`workbench calculators`: the calculators on the command line, and as one offline page."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option
from workbench.errors import UsageError


@click.command()
@click.argument("name", required=False)
@click.option("--set", "given", multiple=True, metavar="INPUT=NUMBER", help="An input; may be repeated.")
@click.option("--page", "page_path", type=click.Path(path_type=Path), default=None,
              help="Write all of them as one HTML page that works offline.")
@json_option
def command(name: str | None, given: tuple[str, ...], page_path: Path | None, as_json: bool) -> None:
    """Reckon with one calculator, list them, or write the page.

    \b
    Example:
      workbench calculators spot --set interruptions_per_day=3
      workbench calculators --page calculators.html
    """
    from workbench.economics.calculators import CALCULATORS

    if page_path is not None:
        from workbench.flows.calculators import write_page
        from workbench.paths import shown

        place = shown(write_page(page_path))
        emit({"page": place}, as_json, lambda: f"Written: {place}")
        return
    if name is None:
        listed = {one.name: one.question for one in CALCULATORS}
        emit(listed, as_json, lambda: "\n".join(f"{key}: {text}" for key, text in listed.items()))
        return
    found = _reckoned(name, given)
    emit(found, as_json, lambda: _text(found))


def _reckoned(name: str, given: tuple[str, ...]) -> dict[str, Any]:
    import difflib
    import math

    from workbench.economics.calculators import CALCULATORS

    known = {one.name: one for one in CALCULATORS}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise UsageError(f"no calculator {name!r}; {hint}")
    values = {}
    for text in given:
        key, equals, number = text.partition("=")
        try:
            values[key] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise UsageError(f"--set {text}: write INPUT=NUMBER")
    calculator = known[name]
    named = [(one.name, one.unit, one.label) for one in calculator.inputs]
    named += [(one.name, one.unit, one.label) for one in calculator.outputs]
    outputs = {key: value if math.isfinite(value) else None for key, value in calculator(**values).items()}
    return {"name": name, "title": calculator.title, "question": calculator.question,
            "inputs": {one.name: values.get(one.name, one.default) for one in calculator.inputs}, "outputs": outputs,
            "units": {key: unit for key, unit, _ in named}, "labels": {key: label for key, _, label in named},
            "source": calculator.source}


def _text(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    table = Table("input", "", "name for --set", box=None, padding=(0, 1))
    for key, value in found["inputs"].items():
        table.add_row(escape(found["labels"][key]), f"{value:g} {found['units'][key]}", key)
    results = Table("result", "", box=None, padding=(0, 1))
    for key, value in found["outputs"].items():
        shown = "never" if value is None else f"{value:,.4g} {found['units'][key]}"
        results.add_row(escape(found["labels"][key]), shown)
    return Group(escape(found["question"]), table, "", results, "", f"Source: {escape(found['source'])}")
