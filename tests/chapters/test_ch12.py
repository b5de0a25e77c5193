"""Chapter 12: the shipped scenario on as many replicas as asked for."""

import tomllib

import pytest

from workbench.chapters import ch12, playing
from workbench.errors import UsageError


def test_only_the_fleet_is_another() -> None:
    shipped, more = (tomllib.loads(text) for text in (playing.shipped(ch12.NAME), ch12.scenario(4)))
    assert more["fleet"].pop("replicas") == 4
    assert shipped["fleet"].pop("replicas") == 2
    assert more == shipped


def test_a_fleet_of_none_is_refused() -> None:
    with pytest.raises(UsageError, match="replicas: 0: must be 1 to 16"):
        ch12.scenario(0)
