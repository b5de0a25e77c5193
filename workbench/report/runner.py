"""One report run: `reports/NAME/RUN-ID/`, written under a .tmp name and renamed when done; a failure is kept."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.figures import static
from workbench.files import write_json, write_text
from workbench.report import arguments, execute, export, index, library, results
from workbench.runlog.provenance import collect as provenance

KIND, SCHEMA = "workbench.report", 1
INPUTS = "inputs"  # the folder inside a run, and the parameter that names it
MAX_INPUT_BYTES = 5_000_000
THUMBNAIL, THUMBNAIL_DPI = "thumbnail.png", 45
_REFUSED = f"{UsageError.__name__}: "
_PACKAGES = ("papermill", "jupytext", "plotly", "matplotlib", "ipykernel")


@dataclass(frozen=True, slots=True)
class ReportRun:
    """A finished run and where its parts lie."""

    name: str
    run_id: str
    folder: Path
    results: list[dict[str, Any]]

    @property
    def html(self) -> Path:
        return self.folder / "report.html"


def run(name: str, given: Mapping[str, Any], *, inputs: Path | None, out: Path, fast: bool = False) -> ReportRun:
    """Run notebook `name` (whole, or as `ch12`) into `out/NAME/RUN-ID/`; `fast` in this process, without a kernel.

    `inputs` is a folder; its JSON files are copied into the run, so that the report stands alone and names no path.
    Raises UsageError before anything is written or when the notebook refuses a value, Failure when it fails; a run
    that has begun is then kept, marked failed.
    """
    path = library.source(name)
    name, notebook = path.stem, library.build(path)
    known = library.parameters(notebook)
    files = _input_files(inputs) if inputs is not None else {}
    if files and INPUTS not in known:
        raise UsageError(f"notebook {name!r} takes no inputs folder")
    values = arguments.checked(name, known, given) | ({INPUTS: INPUTS} if files else {})
    defaults = {key: _literal(item["default"]) for key, item in known.items()}
    started = datetime.now(UTC)
    hashes = {file: hashlib.sha256(origin.read_bytes()).hexdigest() for file, origin in files.items()}
    run_id = f"{started:%Y%m%dT%H%M%SZ}-{_digest(path.read_text(encoding='utf-8'), values, hashes)}"
    about = {
        "kind": KIND, "schema": SCHEMA, "name": name, "run_id": run_id, "title": export.title(notebook, name),
        "chapter": library.about(name).chapter,
        "started_at_utc": f"{started:%Y-%m-%dT%H:%M:%SZ}",
        "notebook_sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "inputs": hashes, **_surroundings(),
    }
    temporary, final = _places(out / name, run_id)
    try:
        _prepare(temporary, files, defaults | values)
        clock = time.monotonic()
        error = (execute.here if fast else execute.papermill)(notebook, temporary, values)
        about |= {"status": "failed" if error else "ok", "error": error,
                  "duration_s": round(time.monotonic() - clock, 1)}
        found = _write(temporary, about)
    except BaseException as stop:
        _keep(temporary, final, about | {"status": "failed", "error": f"{type(stop).__name__}: {stop}"})
        raise
    if error:
        kept = _keep(temporary, final, about)
        index.write(out)
        where = f"kept in {kept.name}/notebook.ipynb, marked failed"
        if error.startswith(_REFUSED):  # a value that only the notebook can judge: the caller's to mend
            raise UsageError(f"notebook {name!r}: {error.removeprefix(_REFUSED)}; {where}")
        raise Failure(f"notebook {name!r} failed: {error}; {where}")
    temporary.replace(final)
    index.write(out)
    return ReportRun(name, final.name, final, found)


def _input_files(folder: Path) -> dict[str, Path]:
    """Every JSON file below a folder by its relative name; links and what is too large are refused."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; --inputs names a results folder (validation.json, plan.json, ...)")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.json")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts):
            continue
        if path.is_symlink() or path.stat().st_size > MAX_INPUT_BYTES:
            raise UsageError(f"{relative}: links and files above {MAX_INPUT_BYTES} bytes are not taken as inputs")
        found[relative.as_posix()] = path
    if not found:
        raise UsageError(f"{folder.name}: holds no .json file; run `workbench plan` or `workbench demo` first")
    return found


def _digest(text: str, values: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Eight hex digits of notebook source, parameters and inputs: equal runs are told apart by their time alone."""
    return hashlib.sha256(json.dumps([text, dict(values), dict(inputs)], sort_keys=True).encode()).hexdigest()[:8]


def _surroundings() -> dict[str, Any]:
    here = provenance("simulated")
    packages = {name: metadata.version(name) for name in _PACKAGES}
    return {
        "git_commit": here.git_commit, "git_dirty": here.git_dirty, "workbench": here.workbench,
        "python": here.python, "packages": packages, "machine": asdict(here.machine) if here.machine else None,
    }


def _places(folder: Path, run_id: str) -> tuple[Path, Path]:
    final = folder / run_id
    number = 2
    while final.exists():
        final, number = folder / f"{run_id}-{number}", number + 1
    return folder / f".{final.name}.tmp", final


def _prepare(folder: Path, files: Mapping[str, Path], values: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True)
    for relative, origin in files.items():
        target = folder / INPUTS / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin, target)
    write_json(folder / "params.json", dict(values))


def _write(folder: Path, about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """results.json, figures/, report.html, provenance.json from the executed notebook."""
    notebook = json.loads((folder / "notebook.ipynb").read_text(encoding="utf-8"))
    found = results.collect(notebook)
    about = {**about, "origins": sorted({str(item["origin"]) for item in found})}
    write_json(folder / "results.json", found)
    for name, svg in export.figures(notebook).items():
        (folder / "figures").mkdir(exist_ok=True)
        (folder / "figures" / f"{name}.svg").write_bytes(svg)
    for chart in export.charts_in(notebook)[:1]:
        (folder / THUMBNAIL).write_bytes(static.render(chart, "png", dpi=THUMBNAIL_DPI))
    write_text(folder / "report.html", export.page(notebook, about))
    write_json(folder / "provenance.json", dict(about))
    return found


def _keep(temporary: Path, final: Path, about: Mapping[str, Any]) -> Path:
    """Rename a failed run so that its name says so."""
    kept = final.with_name(f"{final.name}-failed")
    if temporary.is_dir():
        write_json(temporary / "provenance.json", dict(about))
        temporary.replace(kept)
    return kept


def _literal(text: str) -> Any:
    """A default as papermill read it from the source."""
    import ast

    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
