"""Change detectors of river (pip install river) behind `Detector`: ADWIN, KSWIN, PageHinkley."""

import importlib
import inspect
from typing import Any

from workbench.control.anomaly.protocol import Alarm, whole_or_less
from workbench.control.clock import Clock

KNOWN = ("ADWIN", "KSWIN", "PageHinkley")


class RiverDetector(Clock):
    """`settings` go to river's constructor; where it draws (KSWIN), `seed` is fixed. All of
    river's begin anew after an alarm."""

    def __init__(self, name: str = "ADWIN", seed: int = 1, **settings: Any) -> None:
        if name not in KNOWN:
            raise ValueError(f"name: {name!r} is not a detector; known: {', '.join(KNOWN)}")
        make: Any = getattr(importlib.import_module("river.drift"), name)
        accepted = inspect.signature(make).parameters
        for key in settings:
            if key not in accepted:
                raise ValueError(f"{name}: parameter {key!r} is unknown; known: {', '.join(accepted)}")
        self.name = name
        self._detector = make(**settings, **({"seed": seed} if "seed" in accepted else {}))

    def update(self, now_ns: int, value: int) -> Alarm | None:
        self._tick(now_ns)
        self._detector.update(whole_or_less("value", value))
        if not self._detector.drift_detected:
            return None
        return Alarm(now_ns, self.name, "notice", value, 0)
