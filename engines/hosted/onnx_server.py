"""ONNX Runtime GenAI's engine behind an OpenAI-style API. Here the talking; onnx_compute computes."""

import asyncio
import hmac
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.contract import announce, read_config
from engines.hosted.guard import HOSTS
from engines.hosted.onnx_compute import Ask, Computing
from engines.hosted.onnx_echo import Echo
from engines.http import Connection, Incoming, Reply

POSTS = {"/v1/completions": False, "/v1/chat/completions": True}


class BadRequest(ValueError):
    """What the client asked for cannot be done; the text says why."""


class Words:
    """Text to tokens and back by the model's own tokenizer.json: the library's reading of it cuts text differently.

    ("The " was two tokens instead of three on the model that ships, and the answer another.)
    """

    def __init__(self, folder: Path, library: Any) -> None:
        from tokenizers import Tokenizer
        from tokenizers.decoders import DecodeStream

        self._tokenizer, self._stream = Tokenizer.from_file(str(folder / "tokenizer.json")), DecodeStream
        self._library = library

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text).ids)

    def decoder(self) -> Callable[[int], str]:
        """Tokens of one answer into text; bytes of an unfinished character wait for the next token."""
        stream = self._stream(skip_special_tokens=False)
        return lambda token: stream.step(self._tokenizer, token) or ""

    def chat(self, messages: Any) -> list[int]:
        return self.encode(self._library.apply_chat_template(json.dumps(messages), add_generation_prompt=True))


class Api:
    """The paths, the key, and the frames of the answers."""

    def __init__(self, computing: Computing, tokenizer: Words, asked: dict[str, Any], props: dict[str, Any]) -> None:
        self.computing, self.tokenizer, self.props = computing, tokenizer, props
        self.model, self.key, self.context = asked["model_name"], asked["api_key"], int(props["ctx_tok"])
        self.most_bytes = int(asked["options"]["http_body_bytes"])
        self.loop = asyncio.get_running_loop()
        self.count = 0

    def serve(self, incoming: Incoming, reply: Reply) -> None:
        path = incoming.path.partition("?")[0]
        host = incoming.headers.get("host", "")
        given = incoming.headers.get("authorization", "").removeprefix("Bearer ").encode("latin-1")
        if (host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host) not in HOSTS:
            reply.error(403, "this server answers on loopback only")
        elif "origin" in incoming.headers:
            reply.error(403, "this server answers no web pages")
        elif path == "/health":
            reply.json(200, {"status": "ok"})
        elif not hmac.compare_digest(given, self.key.encode()):
            reply.error(401, "Invalid API Key")
        elif path in POSTS and incoming.method == "POST":
            self._post(incoming, reply, POSTS[path])
        elif path == "/v1/models":
            entry = {"id": self.model, "object": "model", "created": 0, "owned_by": "onnxruntime-genai",
                     "max_model_len": self.context}
            reply.json(200, {"object": "list", "data": [entry]})
        elif path == "/props":
            reply.json(200, self.props)
        elif path == "/metrics":
            reply.text(200, self._metrics(), "text/plain; version=0.0.4")
        else:
            reply.error(405 if path in POSTS else 404, "not offered here")

    def _metrics(self) -> bytes:
        counts = self.computing.counts
        values = {"requests_running": counts.running, "requests_waiting": len(counts.waiting),
                  "iterations_total": counts.iterations, "prompt_tokens_total": counts.prompt_tok,
                  "generated_tokens_total": counts.generated_tok}
        return "".join(f"onnx:{name} {value}\n" for name, value in values.items()).encode()

    def _post(self, incoming: Incoming, reply: Reply, chat: bool) -> None:
        try:
            if len(incoming.body) > self.most_bytes:
                raise BadRequest("the body is too long")
            body = json.loads(incoming.body)
            if not isinstance(body, dict):
                raise BadRequest("the body is not a JSON object")
            if body.get("echo") is True and not chat:
                Echo(self.computing, body, reply, self.context, int(self.props["vocabulary"]))
                return
            ask = self._understand(body, chat)
        except ValueError as error:  # BadRequest and broken JSON
            reply.error(400, str(error))
            return
        self.count += 1
        answer = Answer(self, ask, reply, body, chat)
        ask.on_token = answer.from_thread

        def lost() -> None:
            ask.cancelled = True

        reply.on_lost = lost
        self.computing.submit(ask)

    def _understand(self, body: dict[str, Any], chat: bool) -> Ask:
        most = body.get("max_tokens", body.get("max_completion_tokens", 16))
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise BadRequest("max_tokens: a whole number of at least 1")
        prompt = self._chat_ids(body.get("messages")) if chat else self._ids(body.get("prompt"))
        if not prompt or len(prompt) + most > self.context:
            raise BadRequest(f"{len(prompt)} tokens and {most} more do not fit a context of {self.context}")
        seed = body.get("seed")
        return Ask(prompt, most, bool(body.get("ignore_eos")), _number(body, "temperature", 0.0, 10),
                   _number(body, "top_p", 1.0, 1), seed if type(seed) is int else None, lambda _token, _end: None)

    def _ids(self, prompt: Any) -> list[int]:
        if isinstance(prompt, str):
            return self.tokenizer.encode(prompt)
        vocabulary = int(self.props["vocabulary"])
        if isinstance(prompt, list) and all(type(token) is int and 0 <= token < vocabulary for token in prompt):
            return list(prompt)
        raise BadRequest("prompt: a text, or a list of token ids")

    def _chat_ids(self, messages: Any) -> list[int]:
        if not isinstance(messages, list) or not messages:
            raise BadRequest("messages: a list")
        try:
            return self.tokenizer.chat(messages)
        except RuntimeError as error:
            raise BadRequest(f"messages: {error}") from error


def _number(body: dict[str, Any], name: str, default: float, most: int) -> float:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise BadRequest(f"{name}: a number from 0 to {most}")
    return float(value)


class Answer:
    """Tokens into text, whole characters at a time, and text into chunks."""

    def __init__(self, api: Api, ask: Ask, reply: Reply, body: dict[str, Any], chat: bool) -> None:
        self.api, self.ask, self.reply, self.chat = api, ask, reply, chat
        self.stream = bool(body.get("stream"))
        options = body.get("stream_options")
        self.usage = isinstance(options, dict) and bool(options.get("include_usage"))
        self.decode, self.count, self.text = api.tokenizer.decoder(), 0, ""
        kind = "text_completion" if not chat else "chat.completion.chunk" if self.stream else "chat.completion"
        self.frame = {"id": f"onnx-{api.count}", "object": kind, "created": 0, "model": api.model}

    def from_thread(self, token: int | None, ended: str) -> None:
        """Called by the computing thread."""
        text = "" if token is None else self.decode(token)
        self.api.loop.call_soon_threadsafe(self.hear, token is not None, text, ended)

    def hear(self, is_token: bool, text: str, ended: str) -> None:
        if self.ask.cancelled:
            return
        if is_token:
            self.count += 1
            self.text += text
            if self.stream:
                self.reply.event({**self.frame, "choices": [self._choice(text, None)]})
            return
        if ended.startswith("error"):
            self._fail(ended)
        elif self.stream:
            self.reply.event({**self.frame, "choices": [self._choice("", ended)]})
            if self.usage:
                self.reply.event({**self.frame, "choices": [], "usage": self._usage()})
            self.reply.done()
        else:
            part = {"message": {"role": "assistant", "content": self.text}} if self.chat else {"text": self.text}
            choice = {"index": 0, "finish_reason": ended, **part}
            self.reply.json(200, {**self.frame, "choices": [choice], "usage": self._usage()})

    def _fail(self, why: str) -> None:
        if self.stream and self.count:
            self.reply.event({"error": {"message": why, "code": 500}})
            self.reply.done()
        else:
            self.reply.error(400, why)

    def _choice(self, text: str, reason: str | None) -> dict[str, Any]:
        return {"index": 0, "finish_reason": reason, **({"delta": {"content": text}} if self.chat else {"text": text})}

    def _usage(self) -> dict[str, int]:
        prompt = len(self.ask.prompt)
        return {"prompt_tokens": prompt, "completion_tokens": self.count, "total_tokens": prompt + self.count}


def _load(asked: dict[str, Any]) -> tuple[Any, Any, frozenset[int], dict[str, Any]]:
    og: Any = importlib.import_module("onnxruntime_genai")  # there in its own environment only
    og.disable_telemetry_events()
    folder, options = Path(asked["model_path"]), asked["options"]
    declared = json.loads((folder / "genai_config.json").read_text(encoding="utf-8"))["model"]
    config = og.Config(str(folder))
    threads = {"intra_op_num_threads": options["threads"], "inter_op_num_threads": 1}
    config.overlay(json.dumps({
        "model": {"decoder": {"session_options": threads}},
        "engine": {"static_batching": {"max_batch_size": options["max_seqs"]}},
    }))
    model = og.Model(config)
    props = {"version": og.__version__, "ctx_tok": declared["context_length"], "vocabulary": declared["vocab_size"],
             "device": model.device_type, "batching": "static"}
    ends = declared["eos_token_id"]
    return og, model, frozenset(ends if isinstance(ends, list) else [ends]), props


async def serve(asked: dict[str, Any]) -> None:
    og, model, ends, props = _load(asked)
    computing = Computing(og, model, asked["options"]["max_seqs"], props["vocabulary"], ends)
    computing.start()
    props["max_seqs"] = computing.batch_size()
    api = Api(computing, Words(Path(asked["model_path"]), og.Tokenizer(model)), asked, props)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(api.serve), asked["host"], asked["port"], backlog=1024)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        announce(f"http://{host}:{port}")
        await server.serve_forever()


def main(config: Path) -> int:
    try:
        asyncio.run(serve(read_config(config)))
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 (this process's log)
        return 1
    return 0
