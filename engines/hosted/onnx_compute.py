"""The thread that runs ONNX Runtime GenAI's engine: requests in, tokens out by a callback."""

import os
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

EVENTS = 256  # most that one iteration may tell


@dataclass
class Ask:
    """One request on its way."""

    prompt: list[int]
    most_tok: int
    ignore_eos: bool
    temperature: float
    seed: int | None
    on_token: Callable[[int | None, str], None]  # (token or None, why it ended or "")
    cancelled: bool = False
    session: Any = None
    turn: int = -1


@dataclass
class Counts:
    iterations: int = 0
    prompt_tok: int = 0
    generated_tok: int = 0
    running: int = 0
    waiting: list[Ask] = field(default_factory=list)


class Computing(threading.Thread):
    """Runs the engine while there is work. Requests wait here, so that no more than a batch is inside."""

    _batch_size = 0

    def __init__(self, og: Any, model: Any, max_seqs: int) -> None:
        super().__init__(daemon=True)
        self.counts, self.max_seqs = Counts(), max_seqs
        self._og, self._model = og, model
        self._engine: Any = None  # made in this thread: the library lets no other call it
        self._made = threading.Event()
        self._condition = threading.Condition()
        self._inside: list[Ask] = []

    def batch_size(self) -> int:
        """As the engine says it; waits until it is there."""
        self._made.wait()
        return self._batch_size

    def submit(self, ask: Ask) -> None:
        with self._condition:
            self.counts.waiting.append(ask)
            self._condition.notify()

    def run(self) -> None:
        try:
            self._compute()
        finally:  # it never returns; without this thread the server would only keep people waiting
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    def _compute(self) -> None:
        self._engine = self._og.Engine(self._model)
        self._batch_size = int(self._engine.get_capabilities().configured_max_batch_size)
        self._made.set()
        buffer = self._engine.create_event_buffer(EVENTS)
        while True:
            with self._condition:
                while not self.counts.waiting and not self._inside:
                    self._condition.wait()
                new = []
                if not self._inside:  # static batches: what joined a running batch would wait for its end anyway
                    new, self.counts.waiting = (
                        self.counts.waiting[:self.max_seqs], self.counts.waiting[self.max_seqs:]
                    )
            for ask in new:
                self._begin(ask)
            self.counts.running = len(self._inside)
            for ask in self._inside:
                if ask.cancelled:
                    ask.session.cancel_turn(ask.turn)
            if self._inside:
                self.counts.iterations += 1
                self._tell(self._engine.run(buffer))
                self.counts.running = len(self._inside)

    def _begin(self, ask: Ask) -> None:
        if ask.cancelled:
            return
        import numpy as np

        try:
            ask.session = self._engine.create_request()
            turn = self._og.TurnOptions(ask.session)
            turn.set_max_generated_tokens(ask.most_tok)
            if ask.ignore_eos:
                turn.set_min_generated_tokens(ask.most_tok)
            turn.set_do_sample(ask.temperature > 0)
            if ask.temperature > 0:
                turn.set_temperature(ask.temperature)
                if ask.seed is not None:
                    turn.set_seed(ask.seed)
            ask.turn = ask.session.begin_turn(np.array(ask.prompt, dtype=np.int32), turn)
        except RuntimeError as error:
            ask.on_token(None, f"error: {error}")
            return
        self.counts.prompt_tok += len(ask.prompt)
        self._inside.append(ask)

    def _tell(self, events: Any) -> None:
        flags, reasons = self._og.EngineEventFlags, self._og.FinishReason
        for event in events:
            ask = next((item for item in self._inside if item.session == event.request), None)
            if ask is None:
                continue
            bits = event.flags.value
            if bits & flags.TOKEN.value:
                self.counts.generated_tok += 1
                ask.on_token(int(event.token), "")
            if bits & (flags.TURN_FINISHED.value | flags.FAILED.value):
                ended = "stop" if event.finish_reason == reasons.EOS else "length"
                failed = bool(bits & flags.FAILED.value)
                ask.on_token(None, f"error: {event.error_code.name}" if failed else ended)
                self._inside.remove(ask)
                ask.session.close()
