"""A request for the log-probabilities of prompts, on its way through the computing thread."""

import asyncio
from collections.abc import Callable
from typing import Any

from engines.hosted.echo import Scored, asked_of, told
from engines.hosted.onnx_alone import Score
from engines.hosted.onnx_compute import Computing
from engines.http import Reply


class Echo:
    """Answered when the last prompt is known. Made on the event loop; raises ValueError for what cannot be asked."""

    def __init__(
        self, computing: Computing, body: dict[str, Any], reply: Reply, context_tok: int, vocabulary: int
    ) -> None:
        prompts = asked_of(body)
        for ids in prompts:
            if len(ids) >= context_tok or max(ids) >= vocabulary:
                raise ValueError(f"echo: {len(ids)} tokens, the largest {max(ids)}, for a context of {context_tok} and "
                                 f"a vocabulary of {vocabulary}")
        self._body, self._reply, self._prompts = body, reply, prompts
        self._loop = asyncio.get_running_loop()
        self._known: dict[int, Scored] = {}
        self._asks = [Score(ids, self._hearing(place)) for place, ids in enumerate(prompts)]
        reply.on_lost = self._give_up
        for ask in self._asks:
            computing.submit(ask)

    def _hearing(self, place: int) -> Callable[[Scored | None, str], None]:
        def from_thread(scored: Scored | None, why: str) -> None:
            self._loop.call_soon_threadsafe(self._hear, place, scored, why)

        return from_thread

    def _hear(self, place: int, scored: Scored | None, why: str) -> None:
        if self._asks[place].cancelled:
            return
        if scored is None:
            self._give_up()
            self._reply.error(400, why)
            return
        self._known[place] = scored
        if len(self._known) == len(self._prompts):
            found = [self._known[index] for index in range(len(self._prompts))]
            self._reply.json(200, told(self._body, self._prompts, found))

    def _give_up(self) -> None:
        for ask in self._asks:
            ask.cancelled = True
