"""The thread that runs ONNX Runtime GenAI's engine: requests in, tokens out by a callback."""

import os
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engines.hosted import onnx_alone
from engines.hosted.onnx_alone import Score

EVENTS = 256  # most that one iteration may tell


@dataclass
class Ask:
    """One request on its way."""

    prompt: list[int]
    most_tok: int
    ignore_eos: bool
    temperature: float
    top_p: float
    seed: int | None
    on_token: Callable[[int | None, str], None]  # (token or None, why it ended or "")
    cancelled: bool = False
    session: Any = None
    turn: int = -1

    @property
    def alone(self) -> bool:
        """Whether the library can do it outside a batch only."""
        return self.temperature > 0 and self.seed is not None


@dataclass
class Counts:
    iterations: int = 0
    prompt_tok: int = 0
    generated_tok: int = 0
    running: int = 0
    waiting: list[Ask | Score] = field(default_factory=list)


class Computing(threading.Thread):
    """Runs the engine while there is work. Requests wait here, so that no more than a batch is inside."""

    _batch_size = 0

    def __init__(self, og: Any, model: Any, max_seqs: int, vocabulary: int, ends: frozenset[int]) -> None:
        super().__init__(daemon=True)
        self.counts, self.max_seqs = Counts(), max_seqs
        self._og, self._model, self._vocabulary, self._ends = og, model, vocabulary, ends
        self._engine: Any = None  # made in this thread: the library lets no other call it
        self._made = threading.Event()
        self._condition = threading.Condition()
        self._inside: list[Ask] = []

    def batch_size(self) -> int:
        """As the engine says it; waits until it is there."""
        self._made.wait()
        return self._batch_size

    def submit(self, ask: Ask | Score) -> None:
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
                # static batches: what joined a running batch would wait for its end anyway
                new = [] if self._inside else self._taken()
            for ask in new:
                if isinstance(ask, Score):
                    self._score(ask)
                elif ask.alone:
                    self._sample(ask)
                else:
                    self._begin(ask)
            self.counts.running = len(self._inside)
            for ask in self._inside:
                if ask.cancelled:
                    ask.session.cancel_turn(ask.turn)
            if self._inside:
                self.counts.iterations += 1
                self._tell(self._engine.run(buffer))
                self.counts.running = len(self._inside)

    def _taken(self) -> list[Ask | Score]:
        """The next batch, or one that must be alone: in order of arrival."""
        waiting = self.counts.waiting
        most = next((place for place, ask in enumerate(waiting) if ask.alone), len(waiting))
        count = min(most, self.max_seqs) or 1
        self.counts.waiting = waiting[count:]
        return waiting[:count]

    def _score(self, ask: Score) -> None:
        if ask.cancelled:
            return
        self.counts.running = 1
        try:
            found = onnx_alone.score(self._og, self._model, ask.prompt)
        except RuntimeError as error:
            ask.on_scored(None, str(error))
            return
        self.counts.iterations += 1
        self.counts.prompt_tok += len(ask.prompt)
        ask.on_scored(found, "")

    def _sample(self, ask: Ask) -> None:
        self.counts.running, said = 1, 0
        try:
            for token in onnx_alone.sampled(
                self._og, self._model, ask.prompt, ask.most_tok, temperature=ask.temperature, top_p=ask.top_p,
                seed=ask.seed or 0, vocabulary=self._vocabulary, ends=self._ends, ignore_eos=ask.ignore_eos,
            ):
                if ask.cancelled:
                    return
                said += 1
                self.counts.iterations += 1
                self.counts.generated_tok += 1
                ask.on_token(token, "")
        except RuntimeError as error:
            ask.on_token(None, f"error: {error}")
            return
        self.counts.prompt_tok += len(ask.prompt)
        ask.on_token(None, "length" if said == ask.most_tok else "stop")

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
                turn.set_top_p(ask.top_p)
                turn.set_top_k(self._vocabulary)  # all of them; see onnx_alone.sampled
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
