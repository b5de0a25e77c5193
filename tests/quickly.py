"""A bad input ends in one line, at once, in little memory (docs of safety: 1 s, 200 MB)."""

import time
import tracemalloc
from collections.abc import Callable

import pytest

from workbench.errors import WorkbenchError


def refused_quickly(action: Callable[[], object]) -> str:
    """The one line; within 1 s and 200 MB."""
    tracemalloc.start()
    began_s = time.monotonic()
    try:
        with pytest.raises(WorkbenchError) as caught:
            action()
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began_s < 1.0
    assert peak_bytes < 200 << 20
    assert "\n" not in str(caught.value)
    return str(caught.value)
