"""Distance to the unquantised model: against scipy, by hand, against a plain numpy Llama, by two ways of one engine."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.special import rel_entr

from engines.environment import child_environment
from workbench.errors import Failure, UsageError
from workbench.flows.quality_distance import held_out, read, table
from workbench.flows.quality_logits import Asked
from workbench.models.forward import Llama, log_softmax
from workbench.models.shipped import find, resolve
from workbench.quality.distance import kept, library, library_child
from workbench.quality.distance import vllm as prompt_logprobs
from workbench.quality.distance.expected import Expected, from_logits, joined
from workbench.quality.distance.measure import distance, divergence
from workbench.quality.distance.text import Text, read_text

LOGITS = arrays(np.float64, (4, 6), elements=st.floats(-15, 15))
COMES = np.array([0, 1, 2, 3])


@given(LOGITS, LOGITS)
def test_divergence_is_scipys_relative_entropy(one: NDArray[np.float64], other: NDArray[np.float64]) -> None:
    base, found = from_logits(one, COMES), from_logits(other, COMES)
    p, q = np.exp(log_softmax(one)), np.exp(log_softmax(other))
    got, kind = divergence(base, found)
    assert kind == "exact"
    assert got == pytest.approx(rel_entr(p, q).sum(1), abs=1e-5)


@given(LOGITS, LOGITS)
def test_divergence_is_at_least_0_and_0_for_equal_distributions(
    one: NDArray[np.float64], other: NDArray[np.float64],
) -> None:
    base, found = from_logits(one, COMES), from_logits(other, COMES)
    for a, b in ((base, found), (found, base), (base.kept(1, 3), found), (base.kept(1, 3), found.kept(1, 2))):
        assert (divergence(a, b)[0] >= 0).all()
    for same in (base, base.kept(1, 3)):
        assert (divergence(same, same)[0] == 0).all()
    assert (divergence(base, from_logits(one + 7.0, COMES))[0] < 1e-9).all(), "a constant changes no distribution"


@given(LOGITS, LOGITS, st.integers(1, 5))
def test_the_likeliest_and_the_rest_never_say_too_much(
    one: NDArray[np.float64], other: NDArray[np.float64], top: int,
) -> None:
    base, found = from_logits(one, COMES), from_logits(other, COMES)
    whole = divergence(base, found)[0]
    for a, b in ((base.kept(1, top), found), (base, found.kept(1, top)), (base.kept(1, top), found.kept(1, 5))):
        part, kind = divergence(a, b)
        assert kind == "lower bound"
        assert (part <= whole + 1e-5).all()


def test_two_tokens_by_hand() -> None:
    base = from_logits(np.log([[0.5, 0.5], [0.5, 0.5]]), np.array([0, 1]))
    found = from_logits(np.log([[0.25, 0.75], [0.5, 0.5]]), np.array([0, 1]))
    got = distance(base, found, np.array([0, 1]))
    by_hand = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)  # 0.1438 nats at the first token, 0 at the second
    assert got.kl_mean.mean == pytest.approx(by_hand / 2, abs=1e-6)
    assert got.perplexity.mean == pytest.approx(math.sqrt(4 * 2), rel=1e-6)
    assert got.base_perplexity == pytest.approx(2, rel=1e-6)
    assert got.log_ratio.mean == pytest.approx(math.log(math.sqrt(8) / 2), abs=1e-6)
    assert got.top_1.mean == 0.5, "0.25 to 0.75 chooses the other token; of two equal ones both take the first"
    assert (got.kl_median, got.kl_p999) == (None, None), "two tokens have no percentiles"


def test_large_vocabularies_are_kept_in_part() -> None:
    logits = np.random.default_rng(1).normal(0, 3, (5, 50))
    whole = from_logits(logits, np.arange(5))
    assert whole.kept(50) is whole
    part = whole.kept(10, 8)
    assert part.logprob.shape == (5, 8)
    assert (part.top == whole.top).all()
    assert (part.target == whole.target).all(), "the token that came is known, likely or not"
    assert joined([part, part]).n == 10
    with pytest.raises(Failure, match="NaN"):
        from_logits(np.full((1, 3), np.nan), np.array([0]))


def test_a_base_is_found_again_only_by_what_it_is(tmp_path: Path) -> None:
    source = kept.Source("m", "w", "F16", "f16", "e", "1", "library", "t")
    found = from_logits(np.random.default_rng(2).normal(0, 1, (3, 7)), np.arange(3))
    assert kept.find(source) is None
    kept.write(found, source, source.path, {})
    again = kept.find(source)
    assert again is not None
    assert (again.logprob == found.logprob).all()
    assert kept.find(kept.Source("m", "w", "F16", "q8_0", "e", "1", "library", "t")) is None
    source.path.write_bytes(source.path.read_bytes()[:-4])
    assert kept.find(source) is None, "a damaged one is made again"
    with pytest.raises(Failure, match="damaged base"):
        kept.read(source.path)
    other = tmp_path / "new.safetensors"
    head = {"kind": kept.KIND, "schema": 2, "source": {}}
    kept.save_file({"target": np.zeros(1)}, other, metadata={"workbench": json.dumps(head)})
    with pytest.raises(Failure, match="reads 1 to 1; upgrade"):
        kept.read(other)


def test_a_base_of_schema_1_is_read() -> None:
    found, source = kept.read(Path(__file__).parent / "golden" / "base-1.safetensors")
    assert (source.model, source.quant, found.n, found.whole) == ("tiny", "F16", 3, True)


@pytest.fixture(scope="module")
def text() -> Text:
    return held_out("tiny", None, 6, 256, None)


def test_the_librarys_logits_are_those_of_a_plain_llama(text: Text) -> None:
    got = library.expected(find("tiny", "F32").path, text, env=child_environment())
    folder = resolve("tiny")
    model = Llama(folder.arch, folder.tensors)
    known = np.concatenate([log_softmax(model.logits(np.array([row])))[0, :-1] for row in text.rows])
    assert np.abs(got.logprob - known).max() < 0.02, "its keys and values are F16, those of the plain one F32"
    came = known[np.arange(len(known)), [token for row in text.rows for token in row[1:]]]
    one, other = (np.bincount(text.document, weights=values) for values in (got.target, came))
    assert one == pytest.approx(other, abs=0.02), "the log-likelihood of each document"


def test_a_table_from_real_engines(text: Text, tmp_path: Path) -> None:
    base = Asked("llama.cpp", "F16")
    asked = [base, Asked("llama.cpp", "Q8_0"), Asked("llama.cpp", "Q4_0"), Asked("llama.cpp", "F16", "q8_0")]
    found = table("tiny", asked, text, base=base)
    same, q8, q4, kv = found.rows
    assert (same.distance.kl_mean.mean, same.distance.top_1.mean) == (0, 1)
    assert 0 < q8.distance.kl_mean.mean < 1e-3 < q4.distance.kl_mean.mean < 0.1
    assert 0 < kv.distance.kl_mean.mean < 1e-3
    assert (kv.kv_type, kv.weights_id) == ("q8_0", same.weights_id), "the weights are the same, the cache is not"
    assert round(q8.bits_per_weight, 1) == 8.5
    assert read(found.write(tmp_path)) == found


def test_the_server_says_what_the_library_says(text: Text) -> None:
    short = Text("two", tuple(row[:9] for row in text.rows[:2]))
    found = table("tiny", [Asked("llama.cpp", "F16", way="server")], short, base=Asked("llama.cpp", "F16"))
    assert found.rows[1].way == "server"
    assert found.rows[1].distance.kl_mean.mean < 1e-5
    assert found.rows[1].distance.log_ratio.mean == pytest.approx(0, abs=1e-3)


def test_what_the_library_does_not_know_is_not_guessed(tmp_path: Path, text: Text) -> None:
    beyond = Text("beyond", ((0, 5_000), (0, 1)))
    with pytest.raises(Failure, match=r"token 5000 is beyond the model's vocabulary of 1024"):
        library.expected(find("tiny", "F16").path, beyond, env=child_environment())
    short = tmp_path / "short.gguf"
    short.write_bytes(find("tiny", "F16").path.read_bytes()[:200_000])
    with pytest.raises(Failure, match=r"short.gguf: no logits: the model cannot be loaded"):
        library.expected(short, text, env=child_environment())
    assert set(library_child.KV_TYPES) >= {"f16", "q8_0", "q4_0"}


def test_fewer_log_probabilities_than_asked_are_refused() -> None:
    told = {"choices": [{"prompt_logprobs": [None, {"0": {"logprob": -0.1}}, {"1": {"logprob": -0.2}}]}]}
    assert len(prompt_logprobs._told(told, 3)) == 2
    with pytest.raises(Failure, match="of 2 tokens instead of 4"):
        prompt_logprobs._told(told, 5)
    with pytest.raises(Failure, match="no log-probabilities of the prompt"):
        prompt_logprobs._told({"choices": [{"text": ""}]}, 3)
    with pytest.raises(Failure, match="1 log-probabilities of a token instead of 3"):
        prompt_logprobs._document([{"0": {"logprob": -0.1}}], (5, 0), 3, 3)
    whole = [{"1": {"logprob": -2.0}, "0": {"logprob": -0.1}, "2": {"logprob": -4.0}}]
    assert prompt_logprobs._document(whole, (5, 2), 3, 3).logprob.tolist() == [pytest.approx([-0.1, -2.0, -4.0])]


def test_what_cannot_be_asked_is_said_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"engine 'ollama' gives no whole distributions; llama.cpp, transformers"):
        Asked("ollama", "F16").chosen()
    with pytest.raises(UsageError, match=r"--via server: transformers offers forward"):
        Asked("transformers", "F16", way="server").chosen()
    with pytest.raises(UsageError, match="takes one"):
        Asked("vllm-cpu", "F16", "q8_0").chosen()
    with pytest.raises(UsageError, match=r"kv_type 'q9': llama.cpp has bf16, f16, f32, q4_0"):
        Asked("llama.cpp", "F16", "q9").chosen()
    with pytest.raises(UsageError, match=r"'Q4_X' cannot be made here; did you mean 'Q4_1'"):
        Asked("llama.cpp", "Q4_X").ready("tiny")
    file = tmp_path / "t.jsonl"
    file.write_text('{"text": "ab"}\n{"prompt": "x"}\n')
    with pytest.raises(UsageError, match=r"t.jsonl:2: not a JSON object with a column 'text'"):
        read_text(file, lambda text: list(map(ord, text)))
    with pytest.raises(UsageError, match="1 documents of two tokens"):
        read_text(file, lambda text: list(map(ord, text)), documents=1)


def test_no_distribution_without_its_tokens() -> None:
    one = from_logits(np.zeros((2, 3)), np.array([0, 1]))
    with pytest.raises(ValueError, match="not the same text"):
        distance(one, joined([one, one]), np.array([0, 1]))
    with pytest.raises(ValueError, match="shape"):
        Expected(np.zeros((2, 3), np.float32), np.zeros(3, np.float32))
