"""An engine that runs, as something that can be asked: by forced tokens, by echo, or for text alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.running import Running
from workbench.flows.sweeps.hosts import Shelf
from workbench.flows.sweeps.points import Setting
from workbench.models.shipped import ModelFile
from workbench.quality import chat
from workbench.quality.asking import Asker
from workbench.quality.echo_server import EchoServer, FileWords
from workbench.quality.http import Http
from workbench.quality.llama_server import LlamaServer
from workbench.quality.words import Words
from workbench.runlog.provenance import Provenance


@dataclass(frozen=True, slots=True)
class Ready:
    """Who is asked, how their text is cut, their chat template, and what is known of them."""

    asker: Asker
    template: chat.ChatTemplate | None
    provenance: Provenance
    words: dict[str, Any]


@contextmanager
def asked_at(shelf: Shelf, setting: Setting, log_dir: Path, tokenizer: Path | None) -> Iterator[Ready]:
    """The engine for as long as this lasts. `tokenizer` is of an endpoint's model."""
    host = shelf.start(setting, log_dir)
    try:
        running, model = host.running, host.model
        with Http(running.url, running.api_key, setting.timeout_s) as http:
            yield _ready(http, running, model, tokenizer, host.provenance)
    finally:
        host.stop()


def _ready(http: Http, running: Running, model: ModelFile | None, tokenizer: Path | None,
           provenance: Provenance) -> Ready:
    props, room_tok = http.get("/props"), _room_tok(running, model)
    file = tokenizer or (model.tokenizer_path if model is not None else None)
    template = chat.beside(file) or chat.of_server(props)
    if isinstance(props, dict) and "total_slots" in props:  # llama.cpp's server, whoever started it
        llama = LlamaServer(http, room_tok)
        return Ready(llama, template, provenance, said_of(llama.words) | {"from": "the server"})
    words = FileWords(file) if file is not None else None
    echo = EchoServer(http, running.model_name, words, room_tok, ids=running.record.requests.ids)
    said = {} if words is None else said_of(words) | {"from": "tokenizer.json"}
    return Ready(echo, template, provenance, said)


def said_of(words: Words) -> dict[str, Any]:
    """How the tokenizer treats the beginning of a text and a space, which move scores between harnesses."""
    return {
        "adds_prefix": words.adds_prefix, "prefix_id": words.prefix,
        "space_is_a_token": words.encode(" a") == [*words.encode(" "), *words.encode("a")],
        "boundary": "spaces at the prompt's end go to the option; both are encoded together (lm-eval)",
    }


def _room_tok(running: Running, model: ModelFile | None) -> int | None:
    for name in ("ctx_per_slot_tok", "ctx_tok", "max_model_len"):
        fact = running.facts.get(name)
        if fact is not None and isinstance(fact.seen, int):
            return fact.seen
    return model.context_tok if model is not None else None
