"""Items one after another: asked, judged, kept. What is there already is not asked again."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator

from workbench.quality.asking import Asker, AskFailed, Generated, Likelihoods
from workbench.quality.items import Item
from workbench.quality.judge import failed, judged, row_of
from workbench.quality.rows import Key, Row
from workbench.quality.store import Growing


def missing(items: Iterable[Item], rows: dict[Key, Row]) -> Iterator[tuple[Item, int]]:
    """(item, repeat) of everything that has no row."""
    for item in items:
        for repeat in range(item.repeats):
            if (item.task, item.item, repeat) not in rows:
                yield item, repeat


def seed_of(item: Item, repeat: int, seed: int) -> int | None:
    """Of sampled decoding: its own for each item and repeat, the same on every engine; None where it is greedy."""
    if item.form in ("choice", "text") or item.sampling.greedy:
        return None
    text = f"{seed} {item.task} {item.item} {repeat}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def evaluate(
    items: Iterable[Item], asker_of: Callable[[Item], Asker], growing: Growing, *, seed: int, backend: str | None,
    on_row: Callable[[Row], None] = lambda _row: None,
) -> None:
    """Add a row for every item that has none. Raises EngineLost where the engine is gone; rows stay."""
    for item, repeat in missing(items, growing.rows):
        drawn, begun = seed_of(item, repeat, seed), time.monotonic_ns()
        try:
            got = _asked(asker_of(item), item, drawn)
        except AskFailed as failure:
            row = failed(item, repeat, drawn, str(failure), time.monotonic_ns() - begun)
        else:
            row = judged(row_of(item, repeat, drawn, got, time.monotonic_ns() - begun), item, backend)
        growing.add(row)
        on_row(row)


def _asked(asker: Asker, item: Item, seed: int | None) -> Likelihoods | Generated:
    if item.form == "choice":
        return asker.options(item.pairs)
    if item.form == "text":
        return asker.text(item.prompt)
    return asker.generate(item.prompt, item.sampling, seed)
