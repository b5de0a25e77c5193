"""What the workbench knows about an engine: one frozen record, no behaviour that another engine shares."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Protocol

from engines.common import Answers
from engines.own import Environment, installed
from workbench import __version__
from workbench.config import Settings

Place = Literal["base", "extra", "own environment", "endpoint"]
START_TIMEOUT_S = 120.0


class Options(Settings):
    """Options of an engine that has none of its own."""


class Look(Protocol):
    """What a record may look at to say what an engine really does."""

    @property
    def log(self) -> str:
        """Everything that the engine has written so far."""

    def get(self, path: str) -> Any:
        """Parsed JSON of a GET, or None where the server does not answer it."""

    def get_text(self, path: str) -> str | None:
        """Body of a GET, or None."""


Seen = Mapping[str, tuple[Any, str]]  # fact -> (value, where it was seen)


def _sees_nothing(_look: Look) -> Seen:
    return {}


@dataclass(frozen=True, slots=True)
class Start:
    """What a command is built from. `private` is a folder that only we can read, gone once the engine is ready."""

    model: str
    model_name: str
    host: str
    port: int
    api_key: str = field(repr=False)
    options: Any
    private: Path


@dataclass(frozen=True, slots=True)
class Command:
    """Arguments of the engine's Python, or of another program; what is added to its (nearly empty) environment."""

    arguments: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold the key
    program: str = ""  # "" is the Python of the engine's environment


@dataclass(frozen=True, slots=True)
class Requests:
    """How the engine's API differs from OpenAI's, as far as the load generator must know."""

    ids: bool = True  # a prompt may be a list of token ids
    extra: Mapping[str, Any] = field(default_factory=dict)  # sent with every request
    ignore_eos: bool = True  # it knows `ignore_eos`
    no_eos: Mapping[str, Any] = field(default_factory=dict)  # else: what makes it go on to max_tokens
    logit_bias: bool = False  # [[token, false]] keeps a token from being chosen
    keyed: bool = True  # it asks for the key that we gave it


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine. `argv` (from the path of its CONFIG.json) starts a server of ours, `command` the engine's own."""

    name: str
    title: str
    place: Place
    get: str  # the exact line that gets it
    distribution: str = ""  # the Python distribution that tells whether it is installed here
    formats: tuple[str, ...] = ()
    quants: tuple[str, ...] = ()
    options: type[Settings] = Options
    common: Answers = field(default_factory=dict)
    environment: Environment | None = None
    argv: Callable[[Path], tuple[str, ...]] | None = None
    command: Callable[[Start], Command] | None = None
    needs_model: bool = True
    health_path: str = "/health"
    start_timeout_s: float = START_TIMEOUT_S
    metrics: Mapping[str, str] = field(default_factory=dict)  # our name -> its name at /metrics
    metrics_path: str = "/metrics"
    see: Callable[[Look], Seen] = _sees_nothing
    requests: Requests = Requests()
    tested: str = ""  # "run here", or why not
    note: str = ""
    source: str = ""  # of an engine from the user's own file: its name and hash

    def version(self) -> str | None:
        """The version installed here, or None; what is part of the workbench has its version."""
        if self.environment is not None:
            found = installed(self.name)
            if found is not None:
                return found.version
        if not self.distribution:
            return __version__ if self.place == "base" else None
        if self.place == "own environment":
            return None  # beside us it would not be the one that is started
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None

    @property
    def launches(self) -> bool:
        """Whether `launch` starts it (once it is installed)."""
        return self.argv is not None or self.command is not None
