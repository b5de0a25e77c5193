"""asyncio's driver of the control plane: a task for each attempt, and a client that awaits its request's end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, get_args

from workbench.control.plane.events import (
    Answer,
    Arrived,
    Cancel,
    Decision,
    Event,
    Finish,
    FirstToken,
    Gone,
    Left,
    Outcome,
    Reject,
    Release,
    ReplicaDown,
    ReplicaUp,
    Start,
    Stop,
    Time,
    Wake,
)
from workbench.control.plane.journal import Entry
from workbench.control.plane.plane import ControlPlane

WAKES = 1  # after those who arrive at the same instant
FAILED = frozenset(get_args(Outcome)) - {"ok"}


class Chunk(NamedTuple):
    """Output tokens that came together."""

    tok: int
    cached_tok: int = 0  # of the prompt


class EngineError(Exception):
    """An attempt failed at its engine."""

    def __init__(self, outcome: Outcome, error: str, retry_after_ns: int = 0) -> None:
        super().__init__(error)
        self.outcome, self.error, self.retry_after_ns = outcome, error, retry_after_ns


class Engine(Protocol):
    """Something that answers: a model of one here, an HTTP client of a real one later."""

    def stream(self, ask: Arrived, attempt: int, model: str) -> AsyncIterator[Chunk]:
        """Ends with the answer; raises EngineError. Closing it cancels the request at the engine."""
        ...


class Times(Protocol):
    """A clock that calls back."""

    @property
    def now_ns(self) -> int: ...

    def call_at_ns(self, when_ns: int, call: Callable[[], object], turn: int = 0, lane: int = 0) -> object: ...


class Launcher(Protocol):
    """Where replicas are begun and ended: a model of it here, a process manager or a cluster later."""

    def start(self, one: Start, up: Callable[[], None]) -> None:
        """Begin it, and call `up` once it serves; never, where it fails or was stopped since."""
        ...

    def stop(self, one: Stop) -> None: ...


End = Reject | Answer | Finish


class Gateway:
    """Every event goes through `tell`: the plane decides, and what it decided is begun before anything else runs.
    Without a launcher nobody starts or stops a replica. `journal` is handed each entry (`list.append` keeps them all,
    without bound); without one nothing is kept."""

    def __init__(self, plane: ControlPlane, engines: Sequence[Engine], times: Times, *,
                 launcher: Launcher | None = None, journal: Callable[[Entry], object] | None = None) -> None:
        self.plane, self.engines, self.times, self.launcher = plane, engines, times, launcher
        self.journal = journal
        self.got: dict[str, int] = {}  # output tokens that a client has, until its `ask` returns
        self._asks: dict[str, Arrived] = {}
        self._ends: dict[str, asyncio.Future[End]] = {}
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._wakes: set[int] = set()
        self._closed = False

    def close(self) -> None:
        """One more client, then none: once nobody is inside nothing has to be done any more."""
        self._closed = True

    @property
    def over(self) -> bool:
        """It is closed, nobody is inside, and no attempt that the plane gave up still runs."""
        return self._closed and not self.plane.desk.inside and not self._tasks

    async def ask(self, event: Arrived) -> End:
        """A client's request, to its end. Cancelling the caller is the client giving up. ValueError: the plane refuses
        the event, as where one of this id is inside; then nothing of it is kept."""
        name = event.request_id
        if name in self._ends:
            raise ValueError(f"request {name}: is inside already; every request has an id of its own")
        decisions = self._decide(event)
        end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._asks[name], self._ends[name], self.got[name] = event, end, 0
        self._do(decisions)
        try:
            return await end
        except asyncio.CancelledError:
            self.tell(Gone(name))
            raise
        finally:
            if name not in self._ends:  # else another of this id came since
                self.got.pop(name, None)

    def down(self, replica: int) -> None:
        """What was inside fails by itself."""
        self.tell(ReplicaDown(replica))

    def up(self, replica: int) -> None:
        self.tell(ReplicaUp(replica))

    def tell(self, event: Event) -> None:
        """ValueError: the plane refuses it, and nothing is changed."""
        self._do(self._decide(event))

    def _decide(self, event: Event) -> Sequence[Decision]:
        now_ns = self.times.now_ns
        decisions = self.plane.on(now_ns, event)
        if self.journal is not None:
            self.journal(Entry(now_ns, event, decisions))
        return decisions

    def _do(self, decisions: Sequence[Decision]) -> None:
        for one in decisions:
            match one:
                case Release(request_id, attempt):
                    self._tasks[request_id, attempt] = asyncio.get_running_loop().create_task(self._serve(one))
                case Cancel(request_id, attempt):
                    self._tasks.pop((request_id, attempt)).cancel()
                case Reject() | Answer() | Finish():
                    del self._asks[one.request_id]
                    end = self._ends.pop(one.request_id)
                    if not end.done():
                        end.set_result(one)
                case Wake(at_ns):
                    self._wake(at_ns)
                case Start(replica, token) if self.launcher is not None:
                    self.launcher.start(one, partial(self.tell, ReplicaUp(replica, token)))
                case Stop() if self.launcher is not None:
                    self.launcher.stop(one)

    def _wake(self, at_ns: int) -> None:
        """Once for each moment."""
        if at_ns in self._wakes or self.over:
            return
        self._wakes.add(at_ns)

        def wake() -> None:
            self._wakes.discard(at_ns)
            self.tell(Time())
        self.times.call_at_ns(at_ns, wake, lane=WAKES)

    async def _serve(self, one: Release) -> None:
        """One attempt: its first byte, then its end, whatever its engine says. Cancelled, it says nothing."""
        name, attempt = one.request_id, one.attempt
        ask, tok, cached_tok, failed = self._asks[name], 0, 0, None
        had_tok, before_tok, at_ns = 0, 0, -1  # its client has; it had before that moment
        try:
            async for chunk in self.engines[one.replica].stream(ask, attempt, one.model):
                chunk_tok, chunk_cached_tok = _counted(chunk)
                first = not tok and chunk_tok > 0
                if self._listens(name, attempt):
                    self.got[name] += chunk_tok
                    if at_ns != self.times.now_ns:
                        before_tok, at_ns = had_tok, self.times.now_ns
                    had_tok += chunk_tok
                tok += chunk_tok
                if first:
                    cached_tok = min(chunk_cached_tok, ask.prompt_tok)  # an engine may count its own template
                    self.tell(FirstToken(name, attempt))
        except EngineError as error:
            failed = error
        except Exception as error:  # noqa: BLE001 - whatever an engine's client raises, the request must end
            failed = EngineError("failure", f"{type(error).__name__}: {error}")
        self._tasks.pop((name, attempt), None)
        if failed is None:
            self._left(Left(name, attempt, "ok", ask.prompt_tok, cached_tok, tok))
        else:
            outcome = failed.outcome if failed.outcome in FAILED else "failure"
            if at_ns == self.times.now_ns:  # what came in the moment in which it broke off is not charged
                had_tok = max(before_tok, min(had_tok, 1))
            self._left(Left(name, attempt, outcome, output_tok=had_tok, error=failed.error,
                            retry_after_ns=failed.retry_after_ns))

    def _left(self, event: Left) -> None:
        """What the plane cannot take as it was said is a plain failure."""
        try:
            decisions = self._decide(event)
        except ValueError as error:
            decisions = self._decide(Left(event.request_id, event.attempt, "failure", error=str(error)))
        self._do(decisions)

    def _listens(self, request_id: str, attempt: int) -> bool:
        """The plane gave up who could not be reached; what it says later is no client's answer."""
        state = self.plane.desk.inside.get(request_id)
        return state is not None and attempt in state.out


def _counted(chunk: Chunk) -> tuple[int, int]:
    """EngineError for what counts no tokens."""
    tok, cached_tok = chunk
    if type(tok) is not int or type(cached_tok) is not int or tok < 0 or cached_tok < 0:
        raise EngineError("failure", f"the engine's chunk counts {tok!r} tokens, {cached_tok!r} cached; they are whole "
                                     "numbers, none negative")
    return tok, cached_tok
