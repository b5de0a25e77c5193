"""`PYTHON main.py NAME CONFIG.json` starts engines.hosted.NAME under the Python of an engine's own environment.

Our packages are not installed there, so `engines` is set up without running its __init__, which would import all of the
workbench. What a hosted server imports from us may itself import the standard library only (and engines.http).
"""

import importlib
import sys
import types
from pathlib import Path


def main() -> int:
    package = types.ModuleType("engines")
    package.__path__ = [str(Path(__file__).resolve().parent.parent)]
    sys.modules["engines"] = package
    module = importlib.import_module(f"engines.hosted.{sys.argv[1]}")
    code: int = module.main(Path(sys.argv[2]))
    return code


if __name__ == "__main__":  # a child that multiprocessing spawns reads this file again
    raise SystemExit(main())
