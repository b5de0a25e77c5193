"""Under which licence the weights of known models are: datasets/models/licences.csv. A table of facts, no legal advice.

What lies in a model's folder says more, and is read elsewhere (`workbench.models.licence`).
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from workbench.hardware.table import Line, lines
from workbench.paths import datasets

Commercial = Literal["yes", "conditions", "no"]
CUSTOM = "custom"  # no licence of SPDX's list
_MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")


@dataclass(frozen=True, slots=True)
class Licence:
    """One family's. `models`: how its models' names begin; `conditions`: the most notable ones, in short;
    `since`: month in which weights came out under it."""

    owner: str
    models: tuple[str, ...]
    family: str
    name: str
    spdx: str
    commercial: Commercial
    conditions: str
    since: str
    source: str

    @property
    def label(self) -> str:
        """For one line of print."""
        if self.spdx != CUSTOM and self.commercial == "yes":
            return self.spdx
        word = {"yes": "commercial use", "conditions": "commercial use with conditions", "no": "no commercial use"}
        return f"{self.name if self.spdx == CUSTOM else self.spdx} ({word[self.commercial]})"


def find(name: str) -> Licence | None:
    """Of a Hugging Face id or its last part; None where the table does not know. The longest beginning counts, and
    it ends where a word ends: `Qwen3` is no beginning of `Qwen3.5-4B`, nor another owner's copy the family's."""
    owner, _, last = name.rpartition("/")
    found = [(len(begin), one) for one in every() if not owner or owner.lower() == one.owner.lower()
             for begin in one.models if re.match(re.escape(begin) + r"(?![\w.])", last, re.IGNORECASE)]
    return max(found, key=lambda pair: pair[0])[1] if found else None


@cache
def every() -> tuple[Licence, ...]:
    return read(datasets() / "models" / "licences.csv")


def read(path: Path) -> tuple[Licence, ...]:
    """A table of this shape; a family, or a beginning of an owner's names, that is there twice is refused."""
    found: list[Licence] = []
    for line in lines(path):
        one = _licence(line)
        if one.family in {other.family for other in found}:
            raise line.error("family", "is there twice; families are unique")
        taken = {(other.owner, begin) for other in found for begin in other.models}
        if taken & {(one.owner, begin) for begin in one.models}:
            raise line.error("models", "holds a name that another row has; a name has one licence")
        found.append(one)
    return tuple(found)


def _licence(line: Line) -> Licence:
    for column in ("owner", "models", "family", "licence", "spdx", "source"):
        if not line.text(column):
            raise line.error(column, "is empty; every row says whose it is, under what, and where that stands")
    if not _MONTH.fullmatch(line.text("since")):
        raise line.error("since", "must be a month as YYYY-MM")
    allowed = line.one_of("commercial", get_args(Commercial))
    commercial = next(word for word in get_args(Commercial) if word == allowed)
    if (commercial == "yes") == bool(line.text("conditions")):
        raise line.error("conditions", "must be empty where commercial is 'yes', and say something where it is not")
    return Licence(line.text("owner"), line.words("models"), line.text("family"), line.text("licence"),
                   line.text("spdx"), commercial, line.text("conditions"), line.text("since"), line.text("source"))
