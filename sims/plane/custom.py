"""A policy from the user's own file, as given on a command line: `scheduling=./mine.py:Mine`."""

import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.control.routing.protocol import Router
from workbench.control.scheduling.protocol import Scheduler
from workbench.errors import Failure, UsageError, WorkbenchError
from workbench.own_code import run_file

KINDS = ("scheduling", "routing")
ASKED: Mapping[str, type[Any]] = {"scheduling": Scheduler, "routing": Router}
MODULE = "workbench_custom_"  # begins the name of every module from a user's file


def load_policy(text: str) -> tuple[str, Any, str]:
    """(kind, class, "mine.py:Mine sha256 ..."). The file is run: only ever from a command line. Raises UsageError."""
    kind, _, place = text.partition("=")
    path_text, _, name = place.rpartition(":")
    path = Path(path_text)
    if kind not in KINDS or not path_text.endswith(".py") or not name:
        raise UsageError(f"--policy {text}: write KIND=./FILE.py:CLASS, KIND one of {', '.join(KINDS)}")
    module, digest = run_file(path, f"--policy {text}", MODULE)
    policy = getattr(module, name, None)
    if not isinstance(policy, type):
        known = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise UsageError(f"--policy {text}: {path} has no class {name}; it has {', '.join(known) or 'none'}")
    _complete(text, kind, policy)
    return kind, policy, f"{path.name}:{name} sha256 {digest}"


def _complete(text: str, kind: str, policy: type[Any]) -> None:
    """UsageError naming what the control plane will call and this class has not, or cannot be called so."""
    asked = {name: one for name, one in vars(ASKED[kind]).items()
             if inspect.isfunction(one) and (name == "__len__" or not name.startswith("_"))}
    protocol = f"docs/control/{kind}.md says what each does"
    missing = [name for name in asked if not callable(getattr(policy, name, None))]
    if missing:
        raise UsageError(f"--policy {text}: {policy.__name__} lacks {', '.join(missing)}; {protocol}")
    for name, one in asked.items():
        try:
            inspect.signature(getattr(policy, name)).bind(*inspect.signature(one).parameters)
        except TypeError:
            wanted = ", ".join(inspect.signature(one).parameters)
            raise UsageError(f"--policy {text}: {policy.__name__}.{name} must take ({wanted}); {protocol}") from None
        except ValueError:  # of C code: it has no signature to look at
            continue


@contextmanager
def blamed(custom: Mapping[str, Any]) -> Iterator[None]:
    """What goes wrong inside a policy of the user's own, or for what it answered: Failure, one line that names it."""
    try:
        yield
    except WorkbenchError:
        raise
    except Exception as error:
        names = [f"{Path(sys.modules[one.__module__].__file__ or '').name}:{one.__name__}" for one in custom.values()]
        if not names:
            raise
        said = f"{type(error).__name__}: {error}"
        frames = [(frame, line) for each in _causes(error) for frame, line in traceback.walk_tb(each.__traceback__)]
        own = [(frame, line) for frame, line in frames if frame.f_globals.get("__name__", "").startswith(MODULE)]
        if own:
            frame, line = own[-1]
            module = frame.f_globals["__name__"]
            of = [name for name, one in zip(names, custom.values(), strict=True) if one.__module__ == module]
            raise Failure(f"{(of or names)[0]}: {frame.f_code.co_name}, line {line}: {said}") from error
        place = f" ({Path(frames[-1][0].f_code.co_filename).name} line {frames[-1][1]})" if frames else ""
        raise Failure(f"{' and '.join(names)}: the control plane stops at what it answers{place}: {said}") from error


def _causes(error: BaseException) -> list[BaseException]:
    """The first cause last: a simulator raises what a process raised again."""
    found = [error]
    while (cause := found[-1].__cause__) is not None and cause not in found:
        found.append(cause)
    return found
