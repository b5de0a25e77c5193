"""A model of iteration time, faster or slower by one factor, in whole numbers."""

from fractions import Fraction

from workbench.errors import UsageError
from workbench.profile.grid import Grid
from workbench.profile.model import Linear, Table
from workbench.profile.models import IterationModel


def scaled(model: IterationModel, factor: Fraction) -> IterationModel:
    """Every time times `factor`, each entry rounded to the nearest, halves up: what never fell does not fall.

    Raises UsageError for models whose parts are each of one number format.
    """

    def times(value: int) -> int:
        return (2 * value * factor.numerator + factor.denominator) // (2 * factor.denominator)

    def row(values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(map(times, values))

    def rows(values: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        return tuple(map(row, values))

    if isinstance(model, Linear):
        return Linear(coefficients_fs={name: times(value) for name, value in model.coefficients_fs.items()})
    if isinstance(model, Table):
        slopes = {name: times(value) for name, value in model.slopes_fs.items()}
        return Table(decode_n=model.decode_n, step_fs=row(model.step_fs), slopes_fs=slopes)
    if isinstance(model, Grid):
        return Grid.model_validate(model.model_dump() | {  # no copy: a copy would keep what was computed from it
            "rest_ns": row(model.rest_ns), "step_ns": row(model.step_ns),
            "decode_attention_ns": rows(model.decode_attention_ns),
            "prompt_attention_ns": rows(model.prompt_attention_ns), "prompt_start_ns": times(model.prompt_start_ns),
        })
    raise UsageError(f"a profile whose model is {model.kind!r} is not scaled: its tables are of single kernels; build "
                     "one for the other format (workbench profile silicon --quant, workbench profile import)")
