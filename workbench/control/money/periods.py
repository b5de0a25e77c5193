"""Billing periods, half-open, and the part of an amount that falls on a part of one."""

from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from workbench.control.money.amounts import integer

NS = 10**9
DAY_NS = 86_400 * NS
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Period(NamedTuple):
    """From `start_ns` on, until before `end_ns`."""

    start_ns: int
    end_ns: int

    def prorate(self, amount: int, start_ns: int, end_ns: int) -> int:
        """The part of a period's amount for a part of its time.

        The difference of two roundings of the time since the period's start, not a rounding of the difference: so the
        parts of any cut of the period add up to the amount, whatever the cut.
        """
        whole_ns = self.end_ns - self.start_ns
        begin, end = (min(max(one, self.start_ns), self.end_ns) - self.start_ns for one in (start_ns, end_ns))
        return amount * end // whole_ns - amount * begin // whole_ns


def moment(at_ns: int, utc_ns: int = 0) -> str:
    """For people: the date and time in UTC where it is known when the run's clock shows 0, else the time on that clock,
    in whole days or in seconds, to the last nanosecond."""
    if utc_ns:
        seconds, rest_ns = divmod(at_ns + utc_ns, NS)
        when = datetime.fromtimestamp(seconds, UTC)
        time = f"{when:%H:%M:%S}" if when.second or rest_ns else f"{when:%H:%M}"
        time += f".{rest_ns:09}".rstrip("0") if rest_ns else ""
        return f"{when:%Y-%m-%d}" + (f" {time}" if time != "00:00" else "") + " UTC"
    if at_ns and at_ns % DAY_NS == 0:
        return f"day {at_ns // DAY_NS}"
    seconds, rest_ns = divmod(abs(at_ns), NS)
    part = f".{rest_ns:09}".rstrip("0") if rest_ns else ""
    return f"{'-' if at_ns < 0 else ''}{seconds}{part} s"


class Calendar(Protocol):
    """Which billing period a time belongs to."""

    def period(self, at_ns: int) -> Period: ...


class Every:
    """Periods of one length, the first from `start_ns`: for short simulations."""

    def __init__(self, length_ns: int, start_ns: int = 0) -> None:
        self.length_ns, self.start_ns = integer("length_ns", length_ns, 1), integer("start_ns", start_ns)

    def period(self, at_ns: int) -> Period:
        start_ns = at_ns - (at_ns - self.start_ns) % self.length_ns
        return Period(start_ns, start_ns + self.length_ns)


class Months:
    """Calendar months in UTC; `utc_ns` is the time since 1970 at which the clock of the run shows 0."""

    def __init__(self, utc_ns: int = 0) -> None:
        self.utc_ns = integer("utc_ns", utc_ns)

    def period(self, at_ns: int) -> Period:
        seconds = (at_ns + self.utc_ns) // NS
        start = datetime.fromtimestamp(seconds, UTC).replace(day=1, hour=0, minute=0, second=0)
        december = start.month == 12
        end = start.replace(year=start.year + december, month=1 if december else start.month + 1)
        return Period(self._ns(start), self._ns(end))

    def _ns(self, when: datetime) -> int:
        past = when - EPOCH
        return past.days * DAY_NS + past.seconds * NS - self.utc_ns
