"""Prompts of the lengths asked for: exact where the tokenizer is known, calibrated on the server's usage where not."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.bench.lengths import calibrate
from workbench.bench.request import Prompt
from workbench.bench.run import run
from workbench.bench.target import Target
from workbench.errors import Failure
from workbench.models.tokenizer import load
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Planned
from workbench.workload.prompts import PREFIX_REQUEST, WORDS, Prompts

if TYPE_CHECKING:
    from workbench.runlog.table import RunLog

PROBE_REQUEST = 1 << 32  # probes draw their salts far from those of the run
PROBE_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Made:
    """The prompts, their salt, and how their lengths were arrived at."""

    prompts: Sequence[Prompt]
    salt: int
    how: dict[str, Any]


def exact(
    schedule: Sequence[Planned], tokenizer: Path | None, salt: int | None = None, *, ids: bool = True
) -> Made:
    """Token ids of exactly the length asked for, or (`ids` false) text of that length by the same tokenizer."""
    vocabulary = load(tokenizer)
    source = Prompts(vocabulary, salt=salt)
    if ids:
        return Made(source.for_schedule(schedule, "ids"), source.salt, {"method": "token ids of the tokenizer given"})
    added_tok = len(vocabulary.encode("a", special=True)) - len(vocabulary.encode("a"))  # servers add them
    shorter = [replace(item, asked_prompt_tok=max(item.asked_prompt_tok - added_tok, 1)) for item in schedule]
    how = {"method": "text of the tokenizer given", "added_tok": added_tok}
    return Made(source.for_schedule(shorter, "text"), source.salt, how)


def calibrated(
    target: Target, schedule: Sequence[Planned], tokenizer: Path | None, folder: Path, provenance: Provenance
) -> Made:
    """Text whose length was tried out on the endpoint; an endpoint that answers no probe is a Failure."""
    source = Prompts(load(tokenizer) if tokenizer else None)
    shares = any(planned.prefix_ids for planned in schedule)  # then by words: text that is cut there begins alike
    tokenizer = None if shares else tokenizer
    make: Callable[[int, int], str] = source.text if tokenizer else partial(_words, source)
    probe = _Probe(target, make, folder / "probes", provenance)
    found = calibrate(probe, [planned.asked_prompt_tok for planned in schedule])
    shutil.rmtree(folder / "probes")  # all went well: only a failure is worth keeping
    what = "text by the tokenizer given" if tokenizer else "words"
    if shares:
        units = found.curve.units_for if found is not None else round
        word_tok = 1.0 if found is None else found.curve.tok_per_unit
        prompts = [_sharing(source, planned, i, units(planned.asked_prompt_tok), word_tok)
                   for i, planned in enumerate(schedule)]
        how = {"method": "words, shared beginnings cut between words", **(found.as_dict() if found else {})}
    elif found is None:
        prompts = [make(planned.asked_prompt_tok, i) for i, planned in enumerate(schedule)]
        how = {"method": f"{what}, not calibrated: the server reports no usage"}
    else:
        prompts = [make(found.curve.units_for(planned.asked_prompt_tok), i) for i, planned in enumerate(schedule)]
        how = {"method": f"{what}, calibrated on the server's usage", **found.as_dict()}
    return Made(prompts, source.salt, how)


def _words(source: Prompts, n_words: int, request: int) -> str:
    """The salt and then always the same words, so that prompts of as many words have nearly as many tokens."""
    return " ".join([source.words(1, request), *islice(cycle(WORDS), n_words - 1)])


def _sharing(source: Prompts, planned: Planned, request: int, n_words: int, word_tok: float) -> str:
    """Words in which each block that others have too is as many words as it has tokens, as nearly as may be."""
    words: list[str] = []
    per_block = planned.prefix_tok / word_tok
    for i, number in enumerate(planned.prefix_ids):
        more = int((i + 1) * per_block) - int(i * per_block)
        words += _words(source, more, PREFIX_REQUEST + number).split() if more else []
    words = words[:n_words]
    own = n_words - len(words)
    return " ".join([*words, *(_words(source, own, request).split() if own else [])])


def check(target: Target, prompt: Prompt, folder: Path, provenance: Provenance) -> None:
    """One request, so that an endpoint that cannot answer is known before the run begins."""
    _Probe(target, lambda *_: prompt, folder / "probes", provenance)([1])
    shutil.rmtree(folder / "probes")


@dataclass(slots=True)
class _Probe:
    """Sends prompts of so many units and reads the lengths that the server counted."""

    target: Target
    make: Callable[[int, int], Prompt]
    folder: Path
    provenance: Provenance
    sent: int = 0

    def __call__(self, units: Sequence[int]) -> list[int | None]:
        numbers = range(self.sent, self.sent + len(units))
        self.sent += len(units)
        schedule = [Planned(f"probe{number}", None, unit, 2) for number, unit in zip(numbers, units, strict=True)]
        prompts = [self.make(unit, PROBE_REQUEST + number) for number, unit in zip(numbers, units, strict=True)]
        target = replace(self.target, timeout_s=min(self.target.timeout_s, PROBE_TIMEOUT_S))
        final = self.folder / f"probe-{numbers[0]}.parquet"
        log = run(target, schedule, prompts, final, self.provenance, concurrency=1)
        none_succeeded(log, target.url, self.folder)
        return [row.prompt_tok for row in log.rows()]


def none_succeeded(log: "RunLog", url: str, kept: Path) -> None:
    """Raises Failure, with the commonest reason, where no request ended ok."""
    if log.outcomes()["ok"] == 0:
        reasons = Counter(str(error) for error in log.text("error") if error)
        raise Failure(
            f"{url}: none of {len(log)} requests succeeded: {reasons.most_common(1)[0][0]}; the log is kept in {kept}"
        )
