"""One request and what came back over HTTP, up to the row that it becomes."""

import asyncio
from dataclasses import dataclass, field

import orjson

from workbench.bench.answer import Answer, BadEvent, error_text
from workbench.bench.sse import LineTooLong, SseParser
from workbench.redact import redact, secret_id
from workbench.runlog.schema import Outcome, Planned, Row

ERROR_BODY_LIMIT_BYTES = 4096
ERROR_TEXT_LIMIT = 200


@dataclass(slots=True, eq=False)
class Exchange:
    """The state of one request in flight. `done` resolves to its row, whatever happens."""

    planned: Planned
    content: bytes  # the whole HTTP request
    done: "asyncio.Future[Row]"
    sent_ns: int | None = None
    attempts: int = 1
    status: int = 0
    streams: bool = False  # the answer says that it is an event stream
    kind: str = ""  # its content type
    location: str = ""
    body: bytes = b""  # the start of an answer that is no event stream
    answer: Answer = field(default_factory=Answer)
    events: SseParser = field(default_factory=SseParser)
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    ended: bool = False  # its row exists
    answer_timed: bool = False  # [DONE] came, the end of the response is being waited for

    def take(self, data: bytes, now_ns: int) -> str | None:
        """Body bytes that were read at `now_ns`; the reason if they cannot be what was asked for."""
        if not self.streams:
            self.body += data[: ERROR_BODY_LIMIT_BYTES - len(self.body)]
            return self.refusal() if len(self.body) >= ERROR_BODY_LIMIT_BYTES else None
        try:
            for payload in self.events.feed(data):
                self.answer.event(payload, now_ns)
        except (BadEvent, LineTooLong) as error:
            return str(error)
        return None

    def event(self, payload: bytes, now_ns: int) -> str | None:
        """As `take`, of one event that is known to be whole."""
        try:
            self.answer.event(payload, now_ns)
        except BadEvent as error:
            return str(error)
        return None

    def refusal(self) -> str:
        """Why an answer that is no event stream is not one."""
        if 300 <= self.status < 400:
            return f"HTTP {self.status}: redirect to {self.location or 'nowhere'} not followed; use that URL"
        if self.status != 200:
            return f"HTTP {self.status}: {self._message()}"
        return f"the answer is {self.kind or 'of no stated type'}, not an event stream: {self._message()}"

    def _message(self) -> str:
        try:
            return error_text(orjson.loads(self.body))
        except orjson.JSONDecodeError:
            return self.body.decode("utf-8", "replace").strip().partition("\n")[0]

    def problem(self) -> str | None:
        """At the end of the answer: why it does not count as ok, or None."""
        if not self.streams:
            return self.refusal()
        n = len(self.answer.at_ns)
        if not self.answer.complete:
            return f"the stream ended early, after {n} chunks, without a finish reason or [DONE]"
        if n == 0:
            return f"the answer carried no visible token (usage: {self.answer.usage_tok} output tokens)"
        return None

    def row(self, outcome: Outcome, error: str | None, end_ns: int, model: str, engine: str) -> Row:
        plan, answer = self.planned, self.answer
        times = tuple(answer.at_ns)
        return Row(
            request_id=plan.request_id, tenant=plan.tenant, tier=plan.tier, warmup=plan.warmup, model=model,
            engine=engine, asked_prompt_tok=plan.asked_prompt_tok, asked_output_tok=plan.asked_output_tok,
            prompt_tok=answer.prompt_tok, cached_tok=answer.cached_tok, output_tok=answer.output_tok,
            intended_ns=plan.intended_ns, sent_ns=self.sent_ns, end_ns=end_ns, outcome=outcome, error=error,
            first_token_ns=times[0] if times else None, last_token_ns=times[-1] if times else None,
            chunk_ns=times or None, chunk_tok=answer.chunk_tok(), attempts=self.attempts,
        )


def one_line(text: str, api_key: str | None) -> str:
    """An error as it may be kept: no key, no control characters, one line, cut."""
    if api_key:
        text = text.replace(api_key, secret_id(api_key))
    plain = "".join(c if c.isprintable() else " " for c in redact(text))
    plain = " ".join(plain.split())
    return plain if len(plain) <= ERROR_TEXT_LIMIT else plain[: ERROR_TEXT_LIMIT - 1] + "…"
