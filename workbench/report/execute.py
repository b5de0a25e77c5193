"""Two ways to run a notebook's cells: papermill with a kernel of its own (full lane), or in this process (fast lane).

Both leave the executed notebook in the run's folder and return the first error as one line, or None.
"""

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.files import write_text
from workbench.report import library

CELL_TIMEOUT_S = 600
FILE = "notebook.ipynb"


def papermill(notebook: Any, folder: Path, values: Mapping[str, Any]) -> str | None:
    """Through papermill: isolated, what JupyterLab would do; a kernel start costs about 3 CPU-seconds."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from workbench.report.kernel import private_kernel

    path = folder / FILE
    library.save(notebook, path)
    try:
        with _quiet(), private_kernel() as kernel:
            papermill.execute_notebook(
                path, path, parameters=dict(values), cwd=str(folder), progress_bar=False, log_output=False,
                execution_timeout=CELL_TIMEOUT_S, km=kernel,
            )
    except PapermillExecutionError as error:
        return _line(error.ename, error.evalue)
    finally:
        _forget_paths(path)
    return None


def here(notebook: Any, folder: Path, values: Mapping[str, Any]) -> str | None:
    """In an IPython shell of this process, which is gone afterwards: for many notebooks that are quick."""
    from IPython.utils.capture import capture_output

    shell, error = _shell(), None
    try:
        with contextlib.chdir(folder):
            for cell in _with_values(notebook, values):
                last: list[Any] = []  # what the cell's last line is
                shell.display_trap.hook.outputs = last
                with capture_output() as seen:
                    result = shell.run_cell(cell.source, store_history=False)
                cell.outputs = [*_streams(seen), *(_shown(item.data, item.metadata) for item in seen.outputs),
                                *(_shown(item["data"], item["metadata"]) for item in last)]
                failed = result.error_before_exec or result.error_in_exec
                if failed is not None:
                    error = _line(type(failed).__name__, str(failed))
                    cell.outputs.append(_failure(failed))
                    break
    finally:
        shell.reset(new_session=False)
        shell.restore_sys_module_state()
        type(shell).clear_instance()
        library.save(notebook, folder / FILE)
    return error


def _shell() -> Any:
    """A fresh one: no history, no colours, and what a cell's last line shows is kept, not printed."""
    from IPython.core.displayhook import CapturingDisplayHook
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    settings = Config()
    settings.HistoryManager.enabled = False
    settings.InteractiveShell.colors = "nocolor"
    InteractiveShell.clear_instance()
    shell: Any = InteractiveShell.instance(config=settings)
    shell.display_trap.hook = CapturingDisplayHook(shell, [])  # type: ignore[no-untyped-call]
    return shell


def _with_values(notebook: Any, values: Mapping[str, Any]) -> Iterator[Any]:
    """The code cells in order; behind the parameters' cell one that gives them their values, as papermill does."""
    import nbformat

    given = nbformat.v4.new_code_cell(  # type: ignore[no-untyped-call]
        "# Parameters\n" + "".join(f"{key} = {value!r}\n" for key, value in values.items()),
        metadata={"tags": ["injected-parameters"]}, id="injected-parameters",
    )
    at = next((i for i, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", ())), None)
    if values and at is not None:
        notebook.cells.insert(at + 1, given)
    yield from [cell for cell in notebook.cells if cell.cell_type == "code"]


def _streams(seen: Any) -> list[Any]:
    from nbformat.v4 import new_output

    return [new_output("stream", name=name, text=text)  # type: ignore[no-untyped-call]
            for name, text in (("stdout", seen.stdout), ("stderr", seen.stderr)) if text]


def _shown(data: Any, metadata: Any) -> Any:
    from nbformat.v4 import new_output

    return new_output("display_data", data=data, metadata=metadata or {})  # type: ignore[no-untyped-call]


def _failure(error: BaseException) -> Any:
    from nbformat.v4 import new_output

    return new_output("error", ename=type(error).__name__, evalue=str(error),  # type: ignore[no-untyped-call]
                      traceback=[])


def _line(name: str, text: str) -> str:
    return " ".join(f"{name}: {text}".split())


def _forget_paths(path: Path) -> None:
    """papermill notes where the notebook lay; a report is passed on, so it names no folder of this machine."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    noted = notebook["metadata"].get("papermill", {})
    for key in ("input_path", "output_path"):
        noted.pop(key, None)
    write_text(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


@contextmanager
def _quiet() -> Iterator[None]:
    """papermill and its friends log to the root; a report's console shows the report."""
    loggers = [logging.getLogger(name) for name in ("papermill", "nbclient", "traitlets")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
