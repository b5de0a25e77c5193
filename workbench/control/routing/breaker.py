"""A circuit breaker for each replica: after enough failures it is left alone, then asked once."""

from dataclasses import dataclass
from typing import Literal

from workbench.control.limits.answer import whole
from workbench.control.routing.protocol import Clock

# rejected: 429, it works and says that it has enough. cancelled: by the client, nothing is known
Outcome = Literal["ok", "failure", "rejected", "cancelled"]
State = Literal["closed", "open", "half_open"]


@dataclass(slots=True)
class _Circuit:
    state: State = "closed"
    recent: int = 0  # the last outcomes while closed, one bit each, 1: failure
    until_ns: int = 0  # open: the first probe may go then. half_open: the probe counts as lost then
    openings: int = 0  # in a row
    probe: str = ""


class CircuitBreaker(Clock):
    """Opens when `failures` of the last `window` answers failed; then half open with ONE probe at a time.

    Open for `open_ns`, doubled at every failed probe up to `open_most_ns`. The probe closes it by any answer but a
    failure: 429 is not a failure. A cancelled probe says nothing: the next request probes. A probe without an
    answer for `probe_ns` is lost and counts as failed. While it is not closed, nobody else's answer changes anything.
    Source: Nygard 2007, "Release It!"; the count window as in resilience4j.
    """

    def __init__(self, failures: int = 5, window: int = 10, open_ns: int = 5_000_000_000,
                 open_most_ns: int = 60_000_000_000, probe_ns: int = 30_000_000_000) -> None:
        super().__init__()
        self.failures, self.window = whole("failures", failures), whole("window", window)
        if failures > window:
            raise ValueError(f"failures {failures}: more than the window of {window} answers; it would never open")
        self.open_ns, self.open_most_ns = whole("open_ns", open_ns), whole("open_most_ns", open_most_ns, open_ns)
        self.probe_ns = whole("probe_ns", probe_ns)
        self._mask = (1 << window) - 1
        self._circuits: dict[int, _Circuit] = {}
        self.troubled = 0  # circuits that are not closed

    def allows(self, now_ns: int, replica: int) -> bool:
        """May a request go there now? Takes nothing: say `sent` when it goes."""
        circuit = self._at(now_ns, replica)
        return circuit.state == "closed" or (circuit.state == "open" and now_ns >= circuit.until_ns) or (
            circuit.state == "half_open" and not circuit.probe)

    def sent(self, now_ns: int, replica: int, request_id: str) -> None:
        """It goes. Where the circuit is not closed it is the probe; ValueError where none may go."""
        if not self.troubled:
            self._tick(now_ns)
            return
        if not self.allows(now_ns, replica):
            raise ValueError(f"replica {replica}: the circuit is not closed and no probe may go; ask allows() first")
        circuit = self._circuits[replica]
        if circuit.state != "closed":
            circuit.state, circuit.probe, circuit.until_ns = "half_open", request_id, now_ns + self.probe_ns

    def done(self, now_ns: int, replica: int, request_id: str, outcome: Outcome) -> None:
        circuit = self._at(now_ns, replica)
        if circuit.state == "closed":
            if outcome in ("ok", "failure"):
                circuit.recent = (circuit.recent << 1 | (outcome == "failure")) & self._mask
                if outcome == "failure" and circuit.recent.bit_count() >= self.failures:
                    self._open(now_ns, circuit)
        elif circuit.state == "half_open" and circuit.probe == request_id:
            if outcome == "failure":
                self._open(now_ns, circuit)
            elif outcome == "cancelled":
                circuit.probe = ""
            else:
                self._circuits[replica] = _Circuit()
                self.troubled -= 1

    def state(self, now_ns: int, replica: int) -> State:
        return self._at(now_ns, replica).state

    def due_ns(self) -> int | None:
        """When an open one lets a probe go, or a probe counts as lost: the earliest that is still to come."""
        return min((c.until_ns for c in self._circuits.values()
                    if c.until_ns > self._now_ns and (c.state == "open" or c.probe)), default=None)

    def _at(self, now_ns: int, replica: int) -> _Circuit:
        self._tick(now_ns)
        circuit = self._circuits.get(replica)
        if circuit is None:
            circuit = self._circuits[replica] = _Circuit()
        elif circuit.probe and now_ns >= circuit.until_ns:
            self._open(circuit.until_ns, circuit)  # when it was lost, not when somebody looked
        return circuit

    def _open(self, now_ns: int, circuit: _Circuit) -> None:
        """Doubling ends at the cap: no shift beyond what reaches it."""
        self.troubled += circuit.state == "closed"
        wait_ns = min(self.open_most_ns, self.open_ns << min(circuit.openings, self.open_most_ns.bit_length()))
        circuit.state, circuit.recent, circuit.probe = "open", 0, ""
        circuit.until_ns, circuit.openings = now_ns + wait_ns, circuit.openings + 1
