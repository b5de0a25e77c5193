"""A dictionary of states that forgets idle keys in amortised constant time."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

State = TypeVar("State")
LEAST_KEYS = 1024  # below that many, purging is not worth its time


class PerKey(ABC, Generic[State]):
    """Purged whenever it has doubled since the last purge: never above twice the busy keys, plus 1,024."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        self._purge_at = LEAST_KEYS

    @abstractmethod
    def _idle(self, now_ns: int, state: State) -> bool:
        """The state says no more than that of a key never seen."""

    def _put(self, now_ns: int, key: str, state: State) -> None:
        self._states[key] = state
        if len(self._states) >= self._purge_at:
            self.purge(now_ns)

    def purge(self, now_ns: int) -> None:
        self._states = {key: state for key, state in self._states.items() if not self._idle(now_ns, state)}
        self._purge_at = max(LEAST_KEYS, 2 * len(self._states))

    def __len__(self) -> int:
        return len(self._states)
