"""Which Python runs the programs, and what it reads."""

import os
import sys
import sysconfig
from pathlib import Path

from workbench.errors import Failure

SYSTEM = ("/usr", "/bin", "/lib", "/lib64")
SYSTEM_PYTHON = Path("/usr/bin/python3")


def interpreter(uid: int | None) -> Path:
    """This one, without its environment's packages; the system's, where another uid cannot reach this one."""
    own = Path(sys.executable).resolve()
    if uid is None or (_open_to_all(own) and _open_to_all(Path(sysconfig.get_path("stdlib", scheme="posix_prefix",
                                                                                  vars={"base": sys.base_prefix})))):
        return own
    if SYSTEM_PYTHON.exists():
        return SYSTEM_PYTHON.resolve()
    raise Failure("sandbox: no Python that another user may read; install one (apt-get install python3), "
                  "or do not run as root")


def _open_to_all(path: Path) -> bool:
    """Whether any uid may go through every folder above, and read the thing itself."""
    return bool(path.stat().st_mode & 0o004) and all(above.stat().st_mode & 0o001 for above in path.parents)


def readable(python: Path) -> list[str]:
    """What has to be there for it to run: the system's programs and libraries, and its own where it lives elsewhere."""
    prefix = python.parent.parent
    own = [] if prefix.is_relative_to("/usr") else [prefix / "bin", prefix / "lib"]
    return [path for path in (*SYSTEM, *map(str, own)) if os.path.exists(path)]
