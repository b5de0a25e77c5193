"""One model for every engine test, and the few helpers that several of them need."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from gguf_model import write_model

import engines


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama that answers in ASCII: engines are tested here, not models."""
    path = tmp_path_factory.mktemp("model") / "random.gguf"
    write_model(path)
    return path


@pytest.fixture(scope="session")
def llama(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[engines.Running]:
    """One llama.cpp server, shared by the tests that only read it."""
    options = {"slots": 3, "n_batch": 64, "n_ubatch": 32, "ctx_per_slot_tok": 512}
    with engines.launch("llama.cpp", model, options, log_dir=tmp_path_factory.mktemp("logs")) as running:
        yield running


@pytest.fixture(scope="session")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engines.Running]:
    """The fake engine with the rules of the `llama` fixture, on the real clock."""
    options = {"slots": 3, "n_batch": 64, "n_ubatch": 32, "ctx_per_slot_tok": 512}
    with engines.launch("fake", None, options, log_dir=tmp_path_factory.mktemp("logs")) as running:
        yield running
