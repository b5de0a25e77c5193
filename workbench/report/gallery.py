"""A report as static pages with SVG figures (Markdown where code is read, HTML in a browser), to be committed."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.figures import chart as charts
from workbench.figures import escape
from workbench.figures.table import MIME as TABLE
from workbench.figures.table import Table
from workbench.files import read_json, write_json, write_text
from workbench.report import export

MAX_BYTES = 1_000_000
KEPT = ("params.json", "results.json", "provenance.json")


def write(run: Path, out: Path) -> int:
    """Write `out` from a finished run's folder, replacing an older example there; returns its size in bytes."""
    about = read_json(run / "provenance.json")
    if about.get("kind") != "workbench.report" or about.get("status") != "ok":
        raise UsageError(f"{run.name}: not a finished report run; `workbench report list` shows them")
    made_by = f"Run {about['run_id']} of notebook `{about['name']}`"
    kept = {name: read_json(run / name) for name in KEPT}
    return place(read_json(run / "notebook.ipynb"), about, kept, made_by, out)


def place(
    notebook: Mapping[str, Any], about: Mapping[str, Any], kept: Mapping[str, Any], made_by: str, out: Path
) -> int:
    """An executed notebook's cells as pages in `out`, beside the JSON files in `kept` (provenance.json is one)."""
    if out.exists() and not (out / "provenance.json").is_file():
        raise UsageError(f"{out}: is there and is no gallery example; name another folder")
    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    for name, svg in export.figures(notebook).items():
        (temporary / "figures").mkdir(parents=True, exist_ok=True)
        (temporary / "figures" / f"{name}.svg").write_bytes(svg)
    for name, value in kept.items():
        write_json(temporary / name, value)
    write_text(temporary / "README.md", "\n\n".join(_blocks(notebook, about, made_by)) + "\n")
    write_text(temporary / "index.html", export.static_page(notebook, about))
    size_bytes = sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file())
    if size_bytes > MAX_BYTES:
        shutil.rmtree(temporary)
        raise Failure(f"{out.name}: the example would have {size_bytes} bytes, {MAX_BYTES} at most; show fewer figures")
    if out.exists():
        shutil.rmtree(out)
    temporary.replace(out)
    return size_bytes


def _blocks(notebook: Mapping[str, Any], about: Mapping[str, Any], made_by: str) -> Iterator[str]:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            yield export.joined(cell["source"])
            continue
        for output in cell["outputs"]:
            yield from _shown(output.get("data", {}))
    yield (f"---\n*{made_by}, workbench {about['workbench']}. "
           "Numbers: results.json; how they came about: provenance.json.*")


def _shown(data: Mapping[str, Any]) -> Iterator[str]:
    if charts.MIME in data:
        chart = charts.Chart.from_dict(data[charts.MIME])
        yield f"![{escape.markdown(chart.alt)}](figures/{chart.name}.svg)"
        yield f"*{escape.markdown(chart.full_caption)}*"
    elif TABLE in data:
        yield Table.from_dict(data[TABLE]).as_markdown()
    elif "text/markdown" in data:
        yield export.joined(data["text/markdown"])
