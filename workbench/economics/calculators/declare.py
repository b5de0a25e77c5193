"""What a calculator says of itself; its formula is a plain function of its inputs, by their names, in their order."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workbench.errors import UsageError

Numbers = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Input:
    """A number between `low` and `high`. `whole`: no fractions of it."""

    name: str
    label: str
    unit: str
    low: float
    high: float
    default: float
    whole: bool = False

    def check(self, value: float) -> float:
        """The value, or one line that says what may be there."""
        if not math.isfinite(value) or not self.low <= value <= self.high or (self.whole and value != int(value)):
            kind = "a whole number" if self.whole else "a number"
            raise UsageError(f"{self.name}: {value:g}: {kind} from {self.low:g} to {self.high:g} {self.unit}".rstrip())
        return value


@dataclass(frozen=True, slots=True)
class Output:
    name: str
    label: str
    unit: str
    digits: int = 2  # shown behind the point


@dataclass(frozen=True, slots=True)
class Calculator:
    """`formula` returns the outputs by name; one that does not exist (a division by nothing) is NaN."""

    name: str
    title: str
    question: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    formula: Callable[..., Numbers]
    source: str

    def __post_init__(self) -> None:
        if tuple(inspect.signature(self.formula).parameters) != tuple(one.name for one in self.inputs):
            raise ValueError(f"{self.name}: the formula's parameters are not its inputs")

    def __call__(self, **given: float) -> Numbers:
        """With defaults for what is not given; every input checked. Raises UsageError."""
        unknown = set(given) - {one.name for one in self.inputs}
        if unknown:
            raise UsageError(f"{self.name}: {min(unknown)!r} is no input; there are "
                             f"{', '.join(one.name for one in self.inputs)}")
        return self.formula(**{one.name: one.check(given.get(one.name, one.default)) for one in self.inputs})
