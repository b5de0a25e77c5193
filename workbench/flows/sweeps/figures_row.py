"""The columns of a sweep's exported figures (datasets/measured): declared once, for writing, reading and the docs."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from workbench.config import Settings, validate
from workbench.errors import UsageError

SPREADS = ("ttft_s", "tpot_s", "e2e_s", "output_tok_per_s", "batching_gain", "cpu_s_per_output_tok")
_RUNS_IN_A_SPREADSHEET = ("=", "+", "-", "@")


class FiguresRow(Settings):
    """One setting under one workload and load. A figure is the mean of its repeats, `_low` and `_high` the smallest
    and the largest of them; empty is not known."""

    engine: str = Field(min_length=1, description="engine")
    engine_version: str = Field(description="its version")
    model: str = Field(description="model, by name")
    quant: str = Field(description="format of the weights in the file")
    dtype: str = Field(description="type that the engine was asked to compute in; empty: that of the file")
    options: str = Field(description="what the engine was asked for")
    workload: str = Field(description="workload, as the sweep file calls it")
    concurrency: int | None = Field(ge=1, description="requests in flight (closed loop)")
    rate_per_s: float | None = Field(gt=0, description="requests per second (open loop)")
    prompt_tok: float | None = Field(ge=1, description="prompt tokens of a request, mean, as the engine counted")
    output_tok: float | None = Field(ge=1, description="output tokens of a request, mean")
    requests: int = Field(ge=1, description="requests of one repeat that count (n)")
    repeats: int = Field(ge=1, description="repeats")
    ttft_s: float | None = Field(ge=0, description="time to first token, mean over requests (s)")
    ttft_s_low: float | None
    ttft_s_high: float | None
    tpot_s: float | None = Field(ge=0, description="time per output token after the first, mean (s)")
    tpot_s_low: float | None
    tpot_s_high: float | None
    e2e_s: float | None = Field(ge=0, description="send to last token, mean (s)")
    e2e_s_low: float | None
    e2e_s_high: float | None
    output_tok_per_s: float | None = Field(ge=0, description="output tokens of all requests per second")
    output_tok_per_s_low: float | None
    output_tok_per_s_high: float | None
    batching_gain: float | None = Field(ge=0, description="output_tok_per_s over that of 1 request in flight; its ends "
                                        "are those of the worst and the best pair of repeats")
    batching_gain_low: float | None
    batching_gain_high: float | None
    cpu_s_per_output_tok: float | None = Field(ge=0, description="processor time of the engine's processes per output "
                                               "token, prompts included (s)")
    cpu_s_per_output_tok_low: float | None
    cpu_s_per_output_tok_high: float | None
    load_s: float | None = Field(ge=0, description="start of the engine until it answers, mean over its loads")
    loads: int = Field(ge=0, description="how often the setting was loaded")
    pss_bytes: int | None = Field(ge=0, description="most memory of the engine's processes, shared pages counted once")
    client_limited: int = Field(ge=0, description="repeats in which the load generator doubted itself")
    disturbed: int = Field(ge=0, description="repeats beside which other programs used over a quarter of the cores")
    machine: str = Field(description="processor, cores, memory, system")
    date: str = Field(pattern=r"^\d{4}-\d\d-\d\d$", description="day of the first repeat (UTC)")
    origin: Literal["measured"] = "measured"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.concurrency is None) == (self.rate_per_s is None):
            raise ValueError("give concurrency or rate_per_s, one of the two")
        if max(self.client_limited, self.disturbed) > self.repeats:
            raise ValueError("client_limited or disturbed is more than the repeats")
        for name in SPREADS:
            value, low, high = (getattr(self, name + end) for end in ("", "_low", "_high"))
            if (value is None) != (low is None) or (value is None) != (high is None):
                raise ValueError(f"{name}: value, low and high are known together or not at all")
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name}: {value} does not lie between {low} and {high}")
        return self


COLUMNS = tuple(FiguresRow.model_fields)


def to_csv(rows: Sequence[FiguresRow]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(getattr(row, name)) for name in COLUMNS} for row in rows)
    return text.getvalue()


def _cell(value: str | float | int | None) -> str:
    if isinstance(value, str):  # no spreadsheet shall run it
        return f"'{value}" if value.startswith(_RUNS_IN_A_SPREADSHEET) else value
    return "" if value is None else str(value)


def read(path: Path) -> list[FiguresRow]:
    """Raises UsageError or ConfigError naming line, column and value."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            found = list(csv.DictReader(handle, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path.name}: cannot be read as CSV: {error}") from error
    texts = {name for name, field in FiguresRow.model_fields.items() if field.annotation is str}
    return [
        validate(FiguresRow, {str(key): value if key in texts or value else None for key, value in row.items()},
                 f"{path.name}: row {number}")
        for number, row in enumerate(found, 1)
    ]


def columns_table() -> str:
    """What each column means, as Markdown; `_low` and `_high` are said once."""
    said = [(name, field.description) for name, field in FiguresRow.model_fields.items() if field.description]
    return "| column | what |\n| --- | --- |\n" + "".join(f"| `{name}` | {what} |\n" for name, what in said)
