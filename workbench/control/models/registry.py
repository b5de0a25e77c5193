"""Models by version, names that clients use, and how traffic on a name is split between versions."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from workbench.control.limits.answer import whole
from workbench.control.routing.hashing import point
from workbench.control.routing.protocol import Clock


class Version(NamedTuple):
    """One set of weights in one quantisation. `revision` identifies the weights; caches are keyed by it.

    Prices in micro-USD per million tokens; times tokens: pico-USD, exactly. `quality_ppm`: the share of an evaluation's
    items that it answers rightly, measured elsewhere.
    """

    model: str
    version: str
    revision: str
    context_tok: int
    quality_ppm: int = 0
    capabilities: tuple[str, ...] = ()
    input_price: int = 0
    output_price: int = 0

    @property
    def name(self) -> str:
        return f"{self.model}@{self.version}"

    def price_pusd(self, prompt_tok: int, output_tok: int) -> int:
        return prompt_tok * self.input_price + output_tok * self.output_price


class Resolved(NamedTuple):
    """The version, and the name it was asked by: an alias with a split is an experiment, its arm the version."""

    asked: str
    version: Version


class _Split(NamedTuple):
    """Versions, and where each one's part ends, of the whole that the last one's end is."""

    versions: tuple[Version, ...]
    ends: tuple[int, ...]


class UnknownModel(ValueError):
    """A name that is neither a version, a model nor an alias."""


class ModelRegistry(Clock):
    """`m@2` is that version; `m` and every alias is a split: version -> weight, sticky by user.

    A split is by hash of (alias, user): the same user always gets the same version, on every gateway, without state.
    The first version keeps its users when its share grows; different aliases are independent experiments. Without a
    user it goes by request. Every change is kept: `rollback` undoes the last.
    """

    def __init__(self, versions: Sequence[Mapping[str, Any] | Version] = (),
                 aliases: Mapping[str, Mapping[str, int]] | None = None) -> None:
        super().__init__()
        self._versions: dict[str, Version] = {}
        self._history: dict[str, list[_Split]] = {}
        for raw in versions:
            self.register(0, raw if isinstance(raw, Version) else _version(raw))
        for alias, split in (aliases or {}).items():
            self.split(0, alias, split)

    def register(self, now_ns: int, version: Version) -> None:
        """Known from now on, by its full name; the first version of a model also by the model's."""
        self._tick(now_ns)
        _check(version)
        if self._versions.get(version.name, version) != version:
            raise ValueError(f"version {version.name}: is registered with other facts; a version never changes")
        self._versions[version.name] = version
        self._history.setdefault(version.model, [_Split((version,), (1,))])

    def split(self, now_ns: int, alias: str, weights: Mapping[str, int]) -> None:
        """From now on these versions answer this name, by weight."""
        self._tick(now_ns)
        if "@" in alias:
            raise ValueError(f"alias {alias!r}: names with @ are versions, which never change")
        if not weights:
            raise ValueError(f"alias {alias}: has no version; give at least one with a weight")
        found = tuple(self.version(name) for name in weights)
        ends = accumulate(whole(f"alias {alias}: {name}", weight) for name, weight in weights.items())
        self._history.setdefault(alias, []).append(_Split(found, tuple(ends)))

    def rollback(self, now_ns: int, alias: str) -> Mapping[str, int]:
        """Undo the last split; the split that holds again."""
        self._tick(now_ns)
        history = self._history.get(alias, [])
        if len(history) < 2:
            raise ValueError(f"alias {alias}: nothing to go back to")
        history.pop()
        versions, ends = history[-1]
        return {version.name: end - start for version, (start, end) in zip(versions, pairwise((0, *ends)), strict=True)}

    def resolve(self, now_ns: int, name: str, user: str, request_id: str = "") -> Resolved:
        self._tick(now_ns)
        if name in self._versions:
            return Resolved(name, self._versions[name])
        history = self._history.get(name)
        if history is None:
            raise UnknownModel(f"model {name!r} is unknown; {_remedy(name, [*self._history, *self._versions])}")
        versions, ends = history[-1]
        if len(versions) == 1:
            return Resolved(name, versions[0])
        at = point(f"{name}\0{user or request_id}") * ends[-1] >> 64
        return Resolved(name, versions[bisect_right(ends, at)])

    def version(self, name: str) -> Version:
        if name not in self._versions:
            raise UnknownModel(f"version {name!r} is unknown; {_remedy(name, list(self._versions))}")
        return self._versions[name]

    def versions(self) -> list[Version]:
        """In order of registration."""
        return list(self._versions.values())


def _version(raw: Mapping[str, Any]) -> Version:
    try:
        return Version(**{**raw, "capabilities": tuple(raw.get("capabilities", ()))})
    except TypeError as error:
        raise ValueError(f"version {raw.get('model')}@{raw.get('version')}: {error}") from None


def _check(version: Version) -> None:
    for part in ("model", "version", "revision"):
        if not getattr(version, part) or "@" in getattr(version, part):
            raise ValueError(f"version {version.name}: {part} {getattr(version, part)!r} is empty or contains @")
    whole(f"version {version.name}: context_tok", version.context_tok)
    for part in ("quality_ppm", "input_price", "output_price"):
        whole(f"version {version.name}: {part}", getattr(version, part), 0)


def _remedy(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
