"""Hashes that are the same in every process (Python's own differ), and a ring of them."""

from bisect import bisect_right
from collections.abc import Container, Sequence
from hashlib import blake2b

_MASK = (1 << 64) - 1


def point(text: str) -> int:
    """A place among 2^64, each as likely."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def mixed(value: int) -> int:
    """Another place for a place. Source: the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _MASK
    return value ^ value >> 31


class Ring:
    """Which replica a key meets first, walking up from its place. Source: Karger 1997.

    A replica has `places`; one that comes or goes moves only the keys that it takes or had.
    """

    def __init__(self, replicas: Sequence[int], places: int = 64) -> None:
        marks = sorted((point(f"{replica}/{i}"), replica) for replica in replicas for i in range(places))
        self._points, self._owners = [mark for mark, _ in marks], [replica for _, replica in marks]

    def owner(self, place: int, able: Container[int]) -> int | None:
        """The nearest of the able; None: none of them has a place."""
        at, size, owners = bisect_right(self._points, place), len(self._owners), self._owners
        for i in range(at, at + size):
            if owners[i % size] in able:
                return owners[i % size]
        return None
