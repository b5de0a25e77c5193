"""JupyterLab on the notebooks: loopback, token kept, no news, no update check."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from workbench.errors import UsageError
from workbench.paths import data, root

FOLDER = "notebooks"
QUIET = (
    "--ServerApp.ip=127.0.0.1", "--ServerApp.root_dir={place}", "--LabApp.news_url=",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly",
)


def prepare(folder: Path | None) -> Path:
    """The folder to open: the checkout's own, or `folder` (default ./notebooks) with copies of what is not there."""
    if folder is None and root() is not None:
        return data(FOLDER)
    place = folder or Path.cwd() / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    for path in sorted(data(FOLDER).glob("*.ipynb")):
        if not (place / path.name).exists():
            shutil.copyfile(path, place / path.name)
    return place


def words(place: Path, *, browser: bool, as_root: bool) -> list[str]:
    options = [word.format(place=place.resolve()) for word in QUIET]
    options += [] if browser else ["--no-browser"]
    return [sys.executable, "-m", "jupyterlab", *options, *(["--allow-root"] if as_root else [])]


def check(user: int, *, as_root: bool) -> None:
    """JupyterLab runs for root only when told to. Raises UsageError."""
    if user == 0 and not as_root:
        raise UsageError("you are root, and a notebook may do what you may: be another user, or give --allow-root (in "
                         "a container, say)")


def serve(place: Path, *, browser: bool, as_root: bool = False) -> int:
    """Until it ends; an interrupt is JupyterLab's own to answer. Returns its exit code. Raises UsageError."""
    check(os.geteuid(), as_root=as_root)
    environment = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    with subprocess.Popen(words(place, browser=browser, as_root=as_root), env=environment) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            return child.wait()
