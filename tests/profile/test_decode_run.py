"""The closed form of many decode iterations equals adding them up one by one."""

from hypothesis import given
from hypothesis import strategies as st

from workbench.profile.batch import Batch
from workbench.profile.decode_run import DecodeLine
from workbench.profile.model import Linear, Table, to_ns

lines = st.builds(
    DecodeLine, st.one_of(st.integers(0, 10**7), st.integers(0, 10**13)), st.one_of(st.integers(0, 10**12), st.just(0)),
    st.integers(1, 300),
)


@given(line=lines, k=st.integers(1, 300))
def test_the_sum_is_the_sum(line: DecodeLine, k: int) -> None:
    k = min(k, line.steps)
    each = [to_ns(line.first_fs + i * line.rise_fs) for i in range(k)]
    assert line.total_ns(k) == sum(each)
    assert line.times_ns(k).tolist() == each
    assert line.last_ns(k) == each[-1]


@given(line=lines, after_ns=st.integers(0, 10**9))
def test_reach_is_the_first_that_suffices(line: DecodeLine, after_ns: int) -> None:
    k = line.reach(after_ns)
    assert k == next((i for i in range(1, line.steps) if line.total_ns(i) >= after_ns), line.steps)


slopes = st.integers(0, 10**9)


@given(step=slopes, slot=slopes, tok=slopes, contexts=st.lists(st.integers(1, 5000), min_size=1, max_size=9))
def test_both_models_say_the_same_line_as_single_iterations(
    step: int, slot: int, tok: int, contexts: list[int]
) -> None:
    linear = Linear(coefficients_fs={"step": step, "decode_n": slot, "decode_ctx_sum_tok": tok})
    table = Table(decode_n=(0, 4), step_fs=(step, step + slot), slopes_fs={"decode_ctx_sum_tok": tok})
    for model in (linear, table):
        line = model.decode_line(len(contexts), sum(contexts))
        for i in range(4):
            batch = Batch(decode_n=len(contexts), decode_ctx_sum_tok=sum(contexts) + i * len(contexts))
            assert line.times_ns(4)[i] == to_ns(model.time_fs(batch))
