"""`PYTHON main.py NAME ORDER.json` runs children.NAME in an environment where the workbench is not installed.

The packages above are set up without running their __init__, which would import all of the workbench.
"""

import importlib
import os
import sys
import types
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = "workbench.models.quantise.children"


def main() -> int:
    names = PACKAGE.split(".")
    for depth in range(1, len(names) + 1):
        package = types.ModuleType(".".join(names[:depth]))
        package.__path__ = [str(HERE.parents[len(names) - depth - 1] if depth < len(names) else HERE)]
        sys.modules[package.__name__] = package
    order = Path(sys.argv[2]).resolve()
    os.chdir(order.parent)  # some libraries write logs where they run
    module = importlib.import_module(f"{PACKAGE}.{sys.argv[1]}")
    code: int = module.main(order)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
