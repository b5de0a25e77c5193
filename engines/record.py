"""What the workbench knows about an engine: one frozen record, no behaviour that another engine shares."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Protocol

from workbench import __version__
from workbench.config import Settings

Place = Literal["base", "extra", "own environment", "endpoint"]


class Options(Settings):
    """Options of an engine that has none of its own."""


class Look(Protocol):
    """What a record may look at to say what an engine really does."""

    @property
    def log(self) -> str:
        """Everything that the engine has written so far."""

    def get(self, path: str) -> Any:
        """Parsed JSON of a GET, or None where the server does not answer it."""


Seen = Mapping[str, tuple[Any, str]]  # fact -> (value, where it was seen)


def _sees_nothing(_look: Look) -> Seen:
    return {}


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine. `argv` (from the path of its CONFIG.json) is None where nothing is launched here."""

    name: str
    title: str
    place: Place
    get: str  # the exact line that gets it
    distribution: str = ""  # the Python distribution that tells whether it is installed here
    formats: tuple[str, ...] = ()
    quants: tuple[str, ...] = ()
    options: type[Settings] = Options
    argv: Callable[[Path], tuple[str, ...]] | None = None
    needs_model: bool = True
    health_path: str = "/health"
    metrics: Mapping[str, str] = field(default_factory=dict)  # our name -> its name at /metrics
    see: Callable[[Look], Seen] = _sees_nothing
    note: str = ""

    def version(self) -> str | None:
        """The version installed here, or None; what is part of the workbench has its version."""
        if not self.distribution:
            return __version__ if self.place == "base" else None
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return None

    @property
    def usable(self) -> bool:
        """Whether `launch` starts it, or it needs no starting."""
        return self.argv is not None or self.place == "endpoint"
