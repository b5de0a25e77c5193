"""What a session may use of time and money. The clock begins before the first model is loaded."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from workbench.errors import UsageError


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one session of a sweep; None is no limit. Machine time costs whether or not it measures."""

    usd_per_hour: float | None = None
    max_usd: float | None = None
    max_minutes: float | None = None
    clock: Callable[[], float] = time.monotonic
    begun_s: float = field(default=-1.0)

    @staticmethod
    def begin(
        usd_per_hour: float | None, max_usd: float | None, max_minutes: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> "Budget":
        if max_usd is not None and usd_per_hour is None:
            raise UsageError("--max-usd needs a price: give --usd-per-hour, or price.usd_per_hour in the file")
        for name, value in (("--usd-per-hour", usd_per_hour), ("--max-usd", max_usd), ("--max-minutes", max_minutes)):
            if value is not None and not 0 <= value < float("inf"):
                raise UsageError(f"{name}: {value}: must be 0 or more")
        return Budget(usd_per_hour, max_usd, max_minutes, clock, clock())

    @property
    def used_s(self) -> float:
        return self.clock() - self.begun_s

    def usd(self, seconds: float) -> float | None:
        """What so long costs; None where no price is known."""
        return None if self.usd_per_hour is None else self.usd_per_hour * seconds / 3600

    @property
    def limit_s(self) -> float | None:
        """Seconds that both limits leave from the beginning."""
        limits = [] if self.max_minutes is None else [self.max_minutes * 60]
        if self.max_usd is not None and self.usd_per_hour:
            limits.append(self.max_usd / self.usd_per_hour * 3600)
        return min(limits) if limits else None

    @property
    def left_s(self) -> float | None:
        return None if self.limit_s is None else self.limit_s - self.used_s

    def refuses(self, seconds: float) -> str | None:
        """Why something that takes so long does not fit, or None."""
        left_s = self.left_s
        if left_s is None or seconds <= left_s:
            return None
        said = f"it needs about {seconds:.0f} s, {max(0.0, left_s):.0f} s are left of {self.limit_s:.0f} s"
        usd = self.usd(seconds)
        return said if usd is None else f"{said} (about {usd:.2f} USD)"
