"""What an autoscaler sees, and what it says."""

from typing import NamedTuple, Protocol

PPM = 1_000_000


class Observed(NamedTuple):
    """The fleet at one moment, as the plane knows it."""

    ready: int  # replicas that serve
    starting: int = 0  # asked for, not ready yet (cold start)
    running: int = 0  # requests on replicas
    waiting: int = 0  # requests in the queue
    arrived: int = 0  # requests since the last decision
    load_ppm: int = 0  # utilisation of the ready replicas, summed: two at a half are 1,000,000
    protected: int = 0  # replicas that must not stop now

    @property
    def replicas(self) -> int:
        return self.ready + self.starting


class Autoscaler(Protocol):
    """Asked in regular steps (Kubernetes: every 15 s)."""

    def decide(self, now_ns: int, observed: Observed) -> int:
        """Replicas wanted, those that start included."""
        ...


class Forecaster(Protocol):
    """Demand to come, in whatever unit it was observed."""

    def observe(self, now_ns: int, demand: int) -> None:
        """Demand now."""
        ...

    def forecast(self, now_ns: int, ahead_ns: int) -> int | None:
        """Demand at now + ahead; None: not enough was seen."""
        ...


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)
