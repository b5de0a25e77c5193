"""The columns of a quality log: one row per item, repeat and seed; a failed item is a row with its reason.

`correct` is None where an item failed, and for text, which has a log-likelihood and nothing to be right about.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

SCHEMA = 1

Outcome = Literal["ok", "failed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
Key = tuple[str, str, int]  # task, item, repeat: unique within a log


def _column(unit: str, doc: str, default: Any = None) -> Any:
    return field(default=default, metadata={"unit": unit, "doc": doc})


@dataclass(frozen=True, slots=True)
class Row:
    """One item of one task, asked once. Log-likelihoods are natural logarithms, summed over an option's tokens."""

    task: str = _column("", "task as the suite calls it", "")
    item: str = _column("", "id of the item within the task", "")
    subject: str = _column("", "what the items are clustered by; empty where the task has no subjects", "")
    repeat: int = _column("", "0 for the first answer, 1 for the second, of sampled decoding", 0)
    seed: int | None = _column("", "of sampled decoding; null where the answer is greedy or a likelihood")
    outcome: Outcome = _column("", "ok, or failed: then there is a reason and no answer", "failed")
    error: str | None = _column("", "why it failed, one line")
    answer: str | None = _column("", "the option chosen, or the answer taken from the text")
    expected: str | None = _column("", "the right answer; null for code, which is tried")
    correct: bool | None = _column("", "whether it counts as right")
    score: float | None = _column("", "the task's own figure for the item: 1 or 0 where it is right or wrong")
    verdict: str | None = _column("", "of code: passed, failed, timed out, crashed, blocked")
    loglik: tuple[float, ...] | None = _column("nat", "log-likelihood of each option, or the one of a text")
    margin_nats: float | None = _column("nat", "how far the chosen option is ahead of the next")
    greedy: tuple[bool, ...] | None = _column("", "whether each option is what greedy decoding would say")
    output: str | None = _column("", "generated text as it came")
    prompt_tok: int | None = _column("tok", "length of the prompt that was sent")
    output_tok: int | None = _column("tok", "tokens generated, or scored")
    text_bytes: int | None = _column("bytes", "of a scored text, in UTF-8")
    truncated: bool = _column("", "the prompt did not fit, and its beginning was cut off", False)
    took_ns: int | None = _column("ns", "from the first request to the last answer")

    @property
    def key(self) -> Key:
        return self.task, self.item, self.repeat

    def as_dict(self) -> dict[str, Any]:
        """Without what is not known."""
        return {name: value for name in COLUMNS if (value := getattr(self, name)) is not None}

    @staticmethod
    def from_dict(raw: Mapping[str, Any]) -> "Row":
        """Tolerant of columns that a later minor version added; the schema number guards the rest."""
        values = {name: raw[name] for name in COLUMNS if name in raw}
        for name in LIST_COLUMNS & values.keys():
            values[name] = None if values[name] is None else tuple(values[name])
        return Row(**values)


COLUMNS: tuple[str, ...] = tuple(column.name for column in fields(Row))
LIST_COLUMNS = frozenset({"loglik", "greedy"})
