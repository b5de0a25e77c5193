"""Wrong configuration is one line: file, key, value, remedy."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, PositiveFloat

from workbench.config import Settings, load, parse
from workbench.errors import ConfigError, UsageError


class Poisson(Settings):
    kind: Literal["poisson"]
    rate_rps: PositiveFloat


class Fixed(Settings):
    kind: Literal["fixed"]
    every_s: PositiveFloat


class Engine(Settings):
    name: str
    gpu_memory_fraction: float = 0.9


class Sweep(Settings):
    engine: tuple[Engine, ...] = ()
    arrivals: Annotated[Poisson | Fixed, Field(discriminator="kind")] = Poisson(kind="poisson", rate_rps=1)


@pytest.mark.parametrize(("text", "message"), [
    ("[[engine]]\nname='x'\ngpu_memory_fractoin=1",
     "sweep.toml: engine[0].gpu_memory_fractoin: unknown key; did you mean 'gpu_memory_fraction'?"),
    ("zzz = 1", "sweep.toml: zzz: unknown key; known keys: arrivals, engine"),
    ("[[engine]]\n", "sweep.toml: engine[0].name: required key is missing; add `name = ...`"),
    ("[arrivals]\nkind='poisson'\nrate_rps=-2",
     "sweep.toml: arrivals.rate_rps: -2: input should be greater than 0"),
    ("[arrivals]\nkind='poisson'\nrate_rps=nan", "sweep.toml: arrivals.rate_rps: nan: input should be a finite number"),
    ("[arrivals]\nkind='poisson'\nrate_rpss=1",
     "sweep.toml: arrivals.rate_rpss: unknown key; did you mean 'rate_rps'?"),
])
def test_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Sweep, text, "sweep.toml")
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load(Sweep, tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("a = ")
    with pytest.raises(UsageError, match=r"bad.toml: not valid TOML"):
        load(Sweep, tmp_path / "bad.toml")
    (tmp_path / "bin.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read as text"):
        load(Sweep, tmp_path / "bin.toml")
    with pytest.raises(UsageError, match="cannot be read as text"):
        load(Sweep, tmp_path)


def test_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse(Sweep, "", "x").engine = ()  # type: ignore[misc]
