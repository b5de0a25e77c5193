"""Shapes that were compiled: the next one is computed, whatever is asked; compiling them is a replica's own past."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import paths
from workbench.errors import ConfigError
from workbench.profile.batch import Batch
from workbench.profile.buckets import Bucketed, exponential, gapped, padded
from workbench.profile.compiling import Compiling, of_a_replica
from workbench.profile.edge_shelf import SHELF
from workbench.profile.grid import Grid
from workbench.profile.profile import Profile, from_json, read

TABLES = {
    "tokens": (1, 1000), "rest_ns": (1_000, 1_000_000), "step_n": (1, 100), "step_ns": (1_000, 100_000),
    "decode_n": (1, 100), "ctx_tok": (1, 1001), "decode_attention_ns": ((1, 1001), (100, 100_100)),
    "new_tok": (1, 512), "past_tok": (0, 1000), "prompt_attention_ns": ((10, 1010), (5_000, 10_000)),
}
PLAIN = Grid(**TABLES)  # type: ignore[arg-type]  # read from JSON as a rule


def bucketed(**buckets: object) -> Bucketed:
    return Bucketed(**{**TABLES, **buckets})  # type: ignore[arg-type]


def test_buckets_are_those_of_vllms_documentation() -> None:
    """docs/configuration/tpu.md: most 512 and gap 64; 300 tokens become 512 by doubling and 320 by gaps."""
    assert gapped(16, 512, 64) == (16, 32, 64, 128, 192, 256, 320, 384, 448, 512)
    assert exponential(16, 512) == (16, 32, 64, 128, 256, 512)
    assert padded(exponential(16, 512), 300) == 512
    assert padded(gapped(16, 512, 64), 300) == 320


@given(st.integers(1, 64), st.integers(1, 5000), st.integers(1, 6000))
def test_padding_is_the_least_bucket_that_holds_it(least: int, most: int, size: int) -> None:
    for buckets in (exponential(least, most), gapped(least, most, 2 * least)):
        assert buckets[-1] >= most
        found = padded(buckets, size)
        assert found >= size
        if size <= buckets[-1]:
            assert found == min(one for one in buckets if one >= size)
        else:
            assert found % buckets[-1] == 0
            assert found - buckets[-1] < size
    assert padded((), size) == size
    assert padded((4,), 0) == 0


@pytest.mark.parametrize(("prefills", "decodes", "same"), [
    (((100, 0),), 0, ((128, 0),)), (((60, 7),), 5, None), (((60, 0), (60, 0)), 9, None), ((), 33, None)])
def test_an_iteration_takes_as_long_as_its_padded_shape(
    prefills: tuple[tuple[int, int], ...], decodes: int, same: tuple[tuple[int, int], ...] | None
) -> None:
    """By hand: rest is 1 us a token, a decode step 1 us a sequence; attention is over what is there."""
    model = bucketed(token_buckets=(64, 128, 256))
    ctx = 10 * decodes
    tokens = sum(new for new, _ in prefills) + decodes
    attention_fs = PLAIN.time_fs(Batch(prefills, decodes, ctx)) - 1_000_000_000 * tokens
    want_fs = attention_fs + 1_000_000_000 * padded((64, 128, 256), tokens)
    assert model.time_fs(Batch(prefills, decodes, ctx)) == want_fs
    if same is not None:  # a static prompt: attention of the padding, too
        static = bucketed(length_buckets=(64, 128, 256))
        assert static.time_fs(Batch(prefills, decodes, ctx)) == PLAIN.time_fs(Batch(same, decodes, ctx))


def test_decodes_are_padded_to_the_next_captured_graph() -> None:
    model = bucketed(batch_buckets=(1, 2, 4, 8))
    for n, graph in ((1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (9, 16)):
        line, base = model.decode_line(n, 50 * n), PLAIN.decode_line(n, 50 * n)
        assert line.first_fs - base.first_fs == 1_000_000_000 * (graph - n)
        assert (line.rise_fs, line.steps) == (base.rise_fs, base.steps)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 900)), max_size=3), st.integers(0, 70),
       st.integers(0, 500))
def test_padding_never_makes_it_faster_nor_more_work_cheaper(
    prefills: list[tuple[int, int]], decodes: int, mean_ctx: int
) -> None:
    batch = Batch(tuple(prefills), decodes, decodes * mean_ctx)
    for model in (bucketed(token_buckets=(16, 64, 256)), bucketed(length_buckets=(32, 512), batch_buckets=(8, 64))):
        assert model.time_fs(batch) >= PLAIN.time_fs(batch)
        more = Batch((*batch.prefills, (1, 0)), decodes, batch.decode_ctx_sum_tok)
        assert model.time_fs(more) >= model.time_fs(batch)
    times = [bucketed(token_buckets=(16, 64)).decode_line(n, n).first_fs for n in range(1, 200)]
    assert all(a <= b for a, b in pairwise(times))


def lazy(**buckets: object) -> Profile:
    return Profile(source="roofline", model=bucketed(compile_ns=5_000_000, **buckets))


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 40)), min_size=1, max_size=30))
def test_each_shape_is_compiled_once(work: list[tuple[int, int]]) -> None:
    profile = lazy(token_buckets=(16, 64, 256))
    replica = of_a_replica(profile)
    assert isinstance(replica, Compiling)
    seen: set[int] = set()
    for new, decodes in work:
        if new + decodes == 0:
            continue
        batch = Batch(((new, 0),) if new else (), decodes, 9 * decodes)
        shape = padded((16, 64, 256), new + decodes)
        want_ns = profile.iteration_ns(batch) + (0 if shape in seen else 5_000_000)
        seen.add(shape)
        assert replica.iteration_ns(batch) == want_ns
    assert replica.compilations == len(seen)
    assert of_a_replica(profile).compilations == 0  # another's past is its own


def test_a_line_of_decodes_that_was_only_looked_at_compiles_nothing() -> None:
    replica = of_a_replica(lazy(token_buckets=(16, 64)))
    for _ in range(2):
        line = replica.profile.decode_line(3, 30)
        assert line.steps == 1
        assert line.total_ns(1) == replica.profile.model.decode_line(3, 30).total_ns(1) + 5_000_000
    replica.decoded(3, 30, 1)
    assert replica.profile.decode_line(5, 33) == replica.profile.model.decode_line(5, 33)


def test_what_is_compiled_before_it_serves_needs_no_past() -> None:
    profile = Profile(source="roofline", model=bucketed(token_buckets=(16,)))
    assert of_a_replica(profile) is profile
    plain = Profile(source="roofline", model=PLAIN)
    assert of_a_replica(plain) is plain


@pytest.mark.parametrize("name", sorted(SHELF))
def test_what_ships_is_what_the_shelf_makes(name: str) -> None:
    shipped = read(paths.datasets() / "profiles" / "edge" / f"{name}.json")
    assert shipped == SHELF[name]()
    assert shipped.source == "roofline"
    assert shipped.thin
    assert isinstance(shipped.model, Bucketed)
    assert from_json(shipped.to_json()) == shipped
    fast, slow = shipped.iteration_ns(Batch((), 1, 100)), shipped.iteration_ns(Batch(((2000, 0),), 0))
    assert 10**6 < fast < slow < 10**10


def test_buckets_out_of_order_are_refused() -> None:
    raw = lazy(token_buckets=(16, 64)).to_json().replace("[16, 64]", "[64, 16]")
    with pytest.raises(ConfigError, match="token_buckets must increase"):
        from_json(raw, "mine.json")
