"""Does an engine really work here: it starts, streams, is heard on loopback only, stops, and leaves nothing behind."""

import contextlib
import json
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engines import Engine, Running, facts_as_dict, launch
from engines.supervisor import segments
from workbench.errors import Failure
from workbench.flows.engine_models import model_for
from workbench.models.shipped import SHIPPED, ModelFile
from workbench.models.tokenizer import load

PROMPT = "The "
TOKENS = 16
ANSWER_S = 120.0


def check(
    engine: Engine, *, model: str = SHIPPED, quant: str = "", options: Mapping[str, Any] | None = None,
    note: Callable[[str], None] = lambda _text: None,
) -> dict[str, Any]:
    """Raises UsageError, EngineNotAvailable, or Failure naming the first thing that is not as it must be."""
    given = dict(options or {})
    ours = engine.launches and "url" not in given
    made = model_for(engine, model, quant) if ours and engine.needs_model else None
    with tempfile.TemporaryDirectory(prefix="workbench-check-") as folder:
        with launch(engine, made, given, log_dir=Path(folder)) as running:
            note(f"{engine.name} answers" + (f" after {running.started_s:.1f} s" if running.started_s else ""))
            streamed = stream(running, made)
            addresses, tree = (_listening(running), _tree(running)) if ours else ([], [])
            files = _shared(tree)
            if running.process is not None and running.process.scratch is not None:
                files.add(str(running.process.scratch))
            counted = running.metrics()
            told = {
                "engine": engine.name, "version": running.version, "model": running.model_name,
                "started_s": running.started_s, **streamed, "listening": addresses, "processes": len(tree),
                "metrics": counted, "facts": facts_as_dict(running.facts),
            }
            elsewhere = [address for address in addresses if not _loopback(address)]
            if elsewhere:
                raise Failure(f"engine {engine.name!r} listens on {', '.join(elsewhere)}; only loopback is allowed")
        if ours:
            _gone(engine.name, tree, running.url, files)
    return told | {"left_behind": []}


def stream(running: Running, model: ModelFile | None) -> dict[str, Any]:
    """One streamed answer; Failure unless text comes in several pieces and the tokens are counted."""
    import httpx

    rules = running.record.requests
    body: dict[str, Any] = {
        "model": running.model_name, "prompt": PROMPT, "max_tokens": TOKENS, "temperature": 0, "stream": True,
        **rules.extra, **(dict(rules.no_eos) if not rules.ignore_eos else {"ignore_eos": True}),
    }
    if running.record.name != "transformers":
        body["stream_options"] = {"include_usage": True}
    if rules.logit_bias and model is not None and model.tokenizer_path is not None:
        from workbench.flows.launched import hidden_tokens

        body["logit_bias"] = hidden_tokens(load(model.tokenizer_path))
    headers = {"Authorization": f"Bearer {running.api_key}"} if running.api_key else {}
    pieces, usage, reason, first_s, begun = [], None, None, None, time.monotonic()
    try:
        with httpx.stream("POST", running.url + "/v1/completions", json=body, headers=headers, timeout=ANSWER_S,
                          trust_env=False) as answer:
            if answer.status_code != 200:
                said = answer.read().decode("utf-8", "replace")[:300]
                raise Failure(f"engine {running.engine!r}: HTTP {answer.status_code} to a streamed request: {said}")
            for line in answer.iter_lines():
                data = line.removeprefix("data:").strip()
                if not line.startswith("data:") or data == "[DONE]":
                    continue
                event = json.loads(data)
                usage = event.get("usage") or usage
                for choice in event.get("choices") or ():
                    reason = choice.get("finish_reason") or reason
                    if choice.get("text"):
                        first_s = first_s if first_s is not None else time.monotonic() - begun
                        pieces.append(choice["text"])
    except (httpx.HTTPError, ValueError) as error:
        raise Failure(f"engine {running.engine!r}: its stream broke: {type(error).__name__}: {error}") from error
    if len(pieces) < 2 or reason is None:
        raise Failure(f"engine {running.engine!r} does not stream: {len(pieces)} pieces, finish_reason {reason}")
    counted = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return {"pieces": len(pieces), "output_tok": counted, "finish_reason": reason, "first_piece_s": first_s,
            "answer_s": time.monotonic() - begun, "text": "".join(pieces)}


def _tree(running: Running) -> list[Any]:
    """The keeper and everything below it."""
    import psutil

    assert running.process is not None
    keeper = psutil.Process(running.process.keeper_pid)
    return [keeper, *keeper.children(recursive=True)]


def _listening(running: Running) -> list[str]:
    import psutil

    found = []
    for process in _tree(running):
        with contextlib.suppress(psutil.Error):
            found += [f"{item.laddr.ip}:{item.laddr.port}" for item in process.net_connections("inet")
                      if item.status == psutil.CONN_LISTEN]
    return sorted(set(found))


def _loopback(address: str) -> bool:
    return address.rpartition(":")[0] in ("127.0.0.1", "::1", "::ffff:127.0.0.1")


def _shared(tree: list[Any]) -> set[str]:
    """Segments in /dev/shm that these processes have mapped."""
    return segments([process.pid for process in tree])


def _gone(name: str, tree: list[Any], url: str, files: set[str]) -> None:
    alive = [process for process in tree if process.is_running() and process.status() != "zombie"]
    if alive:
        raise Failure(f"engine {name!r} left processes: {', '.join(str(process.pid) for process in alive)}")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", urlsplit(url).port or 80)) == 0:
            raise Failure(f"engine {name!r} stopped, and something still listens at its port")
    left = sorted(path for path in files if Path(path).exists())
    if left:
        raise Failure(f"engine {name!r} left {', '.join(left[:5])}")
