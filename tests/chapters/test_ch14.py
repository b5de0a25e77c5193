"""Chapter 14: the key of sharing, and what no series can do."""

import pytest

from workbench.chapters import ch14
from workbench.chapters.ch14 import Books
from workbench.errors import UsageError


def test_who_is_moved_most_by_another_key() -> None:
    """a: 1 to 2 is a factor of two; b: 3 to 2 is less."""
    shares = {"engine time": {"a": 1.0, "b": 3.0}, "requests": {"a": 2.0, "b": 2.0}}
    store, kind = ch14._store()
    assert ch14.most_moved(Books(store, kind, 4, shares)) == ("a", 2.0)


def test_shrinking_to_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="growth_per_week: -1"):
        ch14.foresee(200.0, -1.0, 2, quick=True)
