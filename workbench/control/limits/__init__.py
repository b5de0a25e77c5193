"""Rate limits: how much a key may take, of requests or of tokens, and exactly when to come again.

Meters (Gcra, FixedWindow, SlidingLog, SlidingCounter) hold the arithmetic of one limit for many keys;
`Limits` puts one or several of them together: ask, or reserve and later commit or refund.
"""

from workbench.control.limits.answer import Answer, Limiter, Meter, Reservation, UnknownLevel, UnknownReservation
from workbench.control.limits.gcra import Gcra
from workbench.control.limits.levels import Level, Limits
from workbench.control.limits.shaper import Shaper
from workbench.control.limits.sliding_log import SlidingLog
from workbench.control.limits.windows import FixedWindow, SlidingCounter

__all__ = [
    "Answer", "FixedWindow", "Gcra", "Level", "Limiter", "Limits", "Meter", "Reservation", "Shaper", "SlidingCounter",
    "SlidingLog", "UnknownLevel", "UnknownReservation",
]
