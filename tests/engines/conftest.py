"""One model and two engines for every test here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import engines
from workbench.models import ModelFile, find


@contextmanager
def _own_cache_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What runs for a whole session is not written into the user's list of running engines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    """The model that ships, converted into a cache of this test run's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return find("tiny", "Q8_0")


@pytest.fixture(scope="session")
def model(shipped: ModelFile) -> Path:
    return shipped.path


@pytest.fixture(scope="session")
def llama(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[engines.Running]:
    """One llama.cpp server, shared by the tests that only read it."""
    options = {"slots": 3, "n_batch": 64, "n_ubatch": 32, "ctx_per_slot_tok": 512}
    with (
        _own_cache_of_the_session(tmp_path_factory),
        engines.launch("llama.cpp", model, options, log_dir=tmp_path_factory.mktemp("logs")) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engines.Running]:
    """The fake engine with the rules of the `llama` fixture, on the real clock."""
    options = {"slots": 3, "n_batch": 64, "n_ubatch": 32, "ctx_per_slot_tok": 512}
    with (
        _own_cache_of_the_session(tmp_path_factory),
        engines.launch("fake", None, options, log_dir=tmp_path_factory.mktemp("logs")) as running,
    ):
        yield running
