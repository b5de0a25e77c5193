"""The OpenAI-style API of the fake engine: who may ask, what is asked, and how the tokens are told."""

import hmac
from collections.abc import Callable
from typing import Any

import orjson

from engines.fake.ask import Api, Ask, BadRequest, understand
from engines.fake.driver import Driver
from engines.http import Incoming, Reply
from sims.replica import Request
from sims.rules import as_facts
from workbench import __version__

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


class FakeApi:
    """Serves one model; every path but /health needs the key."""

    def __init__(self, driver: Driver, model: str, key: str, profile_sha256: str) -> None:
        self.driver, self.model, self.key, self.profile_sha256 = driver, model, key, profile_sha256
        self._posts: dict[str, Api] = {"/v1/completions": "completions", "/v1/chat/completions": "chat"}
        self._gets: dict[str, Callable[[Reply], None]] = {
            "/v1/models": lambda reply: reply.json(200, self._models()),
            "/props": lambda reply: reply.json(200, self._props()),
            "/metrics": lambda reply: reply.text(200, self._metrics(), "text/plain; version=0.0.4"),
        }
        self._asked = 0

    def serve(self, incoming: Incoming, reply: Reply) -> None:
        path = incoming.path.partition("?")[0]
        host = incoming.headers.get("host", "")
        # a page of another site that rebinds its name to loopback sends its own name here
        if (host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host) not in HOSTS:
            reply.error(403, "this server answers on loopback only")
        elif "origin" in incoming.headers:
            reply.error(403, "this server answers no web pages")
        elif path == "/health":
            reply.json(200, {"status": "ok"})
        elif not self._knows_key(incoming):
            reply.error(401, "Invalid API Key")
        elif path in self._posts and incoming.method == "POST":
            self._ask(self._posts[path], incoming, reply)
        elif path in self._gets and incoming.method == "GET":
            self._gets[path](reply)
        else:
            known = path in self._posts or path in self._gets
            reply.error(405 if known else 404, f"{incoming.method} is not offered here" if known else "no such path")

    def _knows_key(self, incoming: Incoming) -> bool:
        given = incoming.headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode("latin-1"), self.key.encode())

    def _ask(self, api: Api, incoming: Incoming, reply: Reply) -> None:
        try:
            ask = understand(api, orjson.loads(incoming.body))
        except orjson.JSONDecodeError as error:
            reply.error(400, f"the body is not JSON: {error}")
            return
        except BadRequest as error:
            reply.error(400, str(error))
            return
        self._asked += 1
        request = Request(f"q{self._asked}", ask.prompt_tok, ask.output_tok)
        refusal = self.driver.replica.refusal(request)
        if refusal is not None:
            reply.error(400, refusal)
            return
        answer = Answer(self.model, request.request_id, ask, reply, self.driver.clock)
        reply.on_lost = lambda: self.driver.cancel(request.request_id)
        answer.arrival_ns = self.driver.submit(request, answer.token, ask.arrival_ns)

    def _models(self) -> dict[str, Any]:
        entry = {"id": self.model, "object": "model", "created": 0, "owned_by": "inference-workbench"}
        return {"object": "list", "data": [entry]}

    def _props(self) -> dict[str, Any]:
        return {"rules": as_facts(self.driver.replica.rules), "clock": self.driver.clock,
                "profile_sha256": self.profile_sha256, "version": __version__}

    def _metrics(self) -> bytes:
        replica = self.driver.replica
        values = {
            "requests_running": replica.running_n, "requests_waiting": replica.waiting_n,
            "iterations_total": replica.iterations, "preemptions_total": replica.preemptions,
            "prompt_tokens_total": self.driver.prompt_tok, "generated_tokens_total": self.driver.generated_tok,
        }
        return "".join(f"fake:{name} {value}\n" for name, value in values.items()).encode()


class Answer:
    """Turns tokens into a stream of chunks, or into one answer at the end."""

    def __init__(self, model: str, name: str, ask: Ask, reply: Reply, clock: str) -> None:
        self.ask, self.reply, self.arrival_ns = ask, reply, 0
        self._count, self._clock = 0, clock
        self._chat = ask.api == "chat"
        kind = "text_completion" if not self._chat else "chat.completion.chunk" if ask.stream else "chat.completion"
        self._frame = {"id": f"fake-{name}", "object": kind, "created": 0, "model": model}

    def token(self, end_ns: int, last: bool) -> None:
        """One more token, computed at `end_ns` of the engine's clock."""
        self._count += 1
        timings = {"clock": self._clock, "arrival_ns": self.arrival_ns, "token_ns": end_ns,
                   "prompt_n": self.ask.prompt_tok, "predicted_n": self._count}
        if self.ask.stream:
            self._stream(self.ask.token(self._count - 1), timings, last)
        elif last:
            text = "".join(map(self.ask.token, range(self._count)))
            part = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
            self.reply.json(200, {**self._frame, "choices": [self._choice(part, self._reason)],
                                  "usage": self._usage(), "timings": timings})

    def _stream(self, text: str, timings: dict[str, Any], last: bool) -> None:
        if self._chat and self._count == 1:
            self._event([self._choice({"delta": {"role": "assistant", "content": None}}, None)])
        part = {"delta": {"content": text}} if self._chat else {"text": text}
        self._event([self._choice(part, None)], timings=timings)
        if not last:
            return
        self._event([self._choice({"delta": {}} if self._chat else {"text": ""}, self._reason)])
        if self.ask.include_usage:
            self._event([], usage=self._usage(), timings=timings)
        self.reply.done()

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> None:
        self.reply.event({**self._frame, "choices": choices, **more})

    def _choice(self, part: dict[str, Any], reason: str | None) -> dict[str, Any]:
        return {"index": 0, "logprobs": None, "finish_reason": reason, **part}

    @property
    def _reason(self) -> str:
        return "stop" if self.ask.stops else "length"

    def _usage(self) -> dict[str, Any]:
        prompt, out = self.ask.prompt_tok, self._count
        return {"prompt_tokens": prompt, "completion_tokens": out, "total_tokens": prompt + out,
                "prompt_tokens_details": {"cached_tokens": 0}}
