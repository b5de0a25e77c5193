"""The grid model: never faster with more work, exact closed form within a cell, refused when it is not monotone."""

from functools import cached_property
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from workbench.profile.batch import Batch
from workbench.profile.decode_run import FOREVER, DecodeLine
from workbench.profile.grid import Axis, Grid
from workbench.profile.model import to_ns
from workbench.profile.profile import Profile, from_json

ROUNDING_FS = 5_000_000  # slopes are whole femtoseconds a token: a cell of 5 million tokens is off by at most 5 ns


def knots(n: int, top: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(st.integers(1, top), min_size=n, max_size=n, unique=True).map(lambda found: tuple(sorted(found)))


def rising(rows: int, columns: int) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    """Whole tables that fall in no direction: steps added up along both axes."""
    cell = st.one_of(st.just(0), st.integers(0, 10**7))
    table = st.lists(st.lists(cell, min_size=columns, max_size=columns), min_size=rows, max_size=rows)
    return table.map(lambda steps: tuple(zip(*(
        tuple(accumulate(column)) for column in zip(*(tuple(accumulate(row)) for row in steps), strict=True)
    ), strict=True)))


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    return Grid(
        tokens=draw(knots(3, 4000)), rest_ns=draw(rising(1, 3))[0], step_n=draw(knots(3, 600)),
        step_ns=draw(rising(1, 3))[0], decode_n=draw(knots(3, 64)), ctx_tok=draw(knots(4, 9_000)),
        decode_attention_ns=draw(rising(3, 4)), new_tok=draw(knots(3, 3000)), past_tok=draw(knots(3, 60_000)),
        prompt_attention_ns=draw(rising(3, 3)), prompt_start_ns=draw(st.integers(0, 10**7)),
    )


pieces = st.tuples(st.integers(1, 9000), st.integers(0, 200_000))
batches = st.builds(Batch, st.lists(pieces, max_size=3).map(tuple), st.integers(0, 200), st.integers(0, 300_000))


def faster_with_more(grid: Grid, batch: Batch, more: tuple[int, int], ctx: int) -> list[Batch]:
    """Batches with more work than `batch` that the grid says take less time."""
    time = grid.time_fs(batch)
    parts = batch.prefills, batch.decode_n, batch.decode_ctx_sum_tok
    one_more = -(-parts[2] * (parts[1] + 1) // max(1, parts[1])) + ctx  # at least the mean context
    larger = [
        Batch((*parts[0], more), *parts[1:]), Batch(parts[0], parts[1] + 1, one_more),
        Batch(parts[0], parts[1], parts[2] + ctx), Batch(*parts, draft_tok=more[0]),
        *(Batch(((new + more[0], past), *parts[0][1:]), *parts[1:]) for new, past in parts[0][:1]),
        *(Batch(((new, past + more[1]), *parts[0][1:]), *parts[1:]) for new, past in parts[0][:1]),
    ]
    return [one for one in larger if grid.time_fs(one) < time - ROUNDING_FS]


@given(grid=grids(), batch=batches, more=pieces, ctx=st.integers(1, 100_000))
def test_more_work_is_never_faster(grid: Grid, batch: Batch, more: tuple[int, int], ctx: int) -> None:
    assert not faster_with_more(grid, batch, more, ctx)


class Crossing(Grid):
    """A mutant: every row goes on with its own last slope, so that rows may cross beyond the last context."""

    @cached_property
    def _end_rise(self) -> Axis:
        rises = tuple(row[-1] - row[-2] for row in self.decode_attention_ns)
        return Axis(self.decode_n, rises, rises[-1] - rises[0], self.decode_n[-1] - self.decode_n[0])


class OneCell(Grid):
    """A mutant: a line that goes on beyond its cell."""

    def decode_line(self, decode_n: int, ctx_sum_tok: int) -> DecodeLine:
        return super().decode_line(decode_n, ctx_sum_tok)._replace(steps=FOREVER)


def test_mutants_are_caught() -> None:
    raw = GRID.model_dump() | {"decode_attention_ns": ((0, 10**9), (10**9, 10**9))}
    batch = Batch(decode_n=1, decode_ctx_sum_tok=100_000)
    assert faster_with_more(Crossing.model_validate(raw), batch, (1, 0), 1)
    assert not faster_with_more(Grid.model_validate(raw), batch, (1, 0), 1)
    bent = Grid.model_validate(GRID.model_dump() | {"ctx_tok": (0, 100, 300), "decode_attention_ns": (
        (0, 1000, 1001), (0, 1000, 1001))})
    line = OneCell.model_validate(bent.model_dump()).decode_line(1, 50)
    last = bent.time_fs(Batch(decode_n=1, decode_ctx_sum_tok=149))
    assert line.last_ns(100) != to_ns(last)
    assert bent.decode_line(1, 50).steps == 50


@given(grid=grids(), n=st.integers(1, 100), total=st.integers(0, 200_000), k=st.integers(1, 400))
def test_a_line_is_the_single_iterations_to_the_edge_of_its_cell(grid: Grid, n: int, total: int, k: int) -> None:
    line = grid.decode_line(n, total)
    k = min(k, line.steps)
    each = [to_ns(grid.time_fs(Batch(decode_n=n, decode_ctx_sum_tok=total + i * n))) for i in range(k)]
    assert line.times_ns(k).tolist() == each
    if line.steps < FOREVER:
        assert grid.decode_line(n, total + line.steps * n) != line or line.rise_fs == 0


GRID = Grid(
    tokens=(1, 1000), rest_ns=(100, 1099), step_n=(1, 11), step_ns=(50, 150), decode_n=(1, 5), ctx_tok=(100, 300),
    decode_attention_ns=((10, 30), (50, 250)), new_tok=(1, 10), past_tok=(0, 100),
    prompt_attention_ns=((7, 17), (61, 1161)), prompt_start_ns=5,
)


@pytest.mark.parametrize(("batch", "ns"), [
    (Batch(decode_n=1, decode_ctx_sum_tok=100), 50 + 10),
    (Batch(decode_n=1, decode_ctx_sum_tok=200), 50 + 20),
    (Batch(decode_n=3, decode_ctx_sum_tok=600), 70 + (30 + 140) // 2),  # halfway in both directions
    (Batch(decode_n=1, decode_ctx_sum_tok=500), 50 + 50),  # beyond: the mean slope
    (Batch(decode_n=21, decode_ctx_sum_tok=2100), 250 + 10 + 40 * 5),
    (Batch(((10, 0),)), 109 + 61),
    (Batch(((4, 0),)), 103 + 7 + 54 * 9 // 54),  # 10 pairs of 55, less the first
    (Batch(((10, 50), (1, 0))), 110 + 5 + (611 - 5) + (7 - 5)),  # kernels start once
    (Batch(((10, 0),), 11, 3300), 150 + 61 + 250 + (250 - 30) * 6 // 4),  # the decodes' logits outweigh the matrices
    (Batch((), 0, 0), 0),
])
def test_hand_computed(batch: Batch, ns: int) -> None:
    assert GRID.time_fs(batch) / 1e6 == pytest.approx(ns, abs=1)


def test_a_table_that_falls_is_refused() -> None:
    raw = GRID.model_dump() | {"decode_attention_ns": ((10, 30), (50, 49))}
    with pytest.raises(ValidationError, match="more work is never faster"):
        Grid.model_validate(raw)
    with pytest.raises(ValidationError, match="must have 2 row"):
        Grid.model_validate(GRID.model_dump() | {"prompt_attention_ns": ((1, 2),)})
    with pytest.raises(ValidationError, match="tokens must increase"):
        Grid.model_validate(GRID.model_dump() | {"tokens": (5, 5)})


def test_a_grid_profile_survives_its_file() -> None:
    profile = Profile(source="silicon", model=GRID, thin=("nowhere",))
    again = from_json(profile.to_json())
    assert again == profile
    assert again.sha256 == profile.sha256
    assert [again.iteration_ns(Batch(decode_n=n, decode_ctx_sum_tok=n)) for n in (1, 2)] == [60, 80]
    assert all(a <= b for a, b in pairwise(GRID.rest_ns))
