"""What a GGUF file holds is what the safetensors held, tensor by tensor."""

import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench.errors import Failure, UsageError
from workbench.files import read_json, write_json
from workbench.models import convert_to_file, find, formats, gguf_tokenizer, layout, list_models
from workbench.models.convert import rotary_rows
from workbench.models.folder import ModelFolder, open_folder
from workbench.models.forward import rotate
from workbench.models.gguf_header import read_gguf_header
from workbench.models.shipped import resolve, shipped_folder
from workbench.models.tensors import Floats

# largest error of one value as a share of its block's largest value: half a step, and one F16 rounding
BOUND = {"F32": 0.0, "F16": 2**-11, "BF16": 2**-8, "Q8_0": 0.5 / 127, "Q5_0": 1 / 16, "Q4_0": 1 / 8, "TQ2_0": 0.5}


@pytest.fixture(scope="module")
def tiny() -> ModelFolder:
    return open_folder(shipped_folder(), "tiny")


def read_back(path: Path) -> dict[str, tuple[str, Floats]]:
    """By the `gguf` package's own reader."""
    reader = gguf.GGUFReader(path)
    return {
        tensor.name: (tensor.tensor_type.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type))
        for tensor in reader.tensors
    }


def undo_rotary(weight: Floats, heads: int) -> Floats:
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


@pytest.mark.parametrize("quant", [
    "F16", "Q8_0", "Q4_0",
    *(pytest.param(quant, marks=pytest.mark.slow) for quant in formats.FORMATS if quant not in ("F16", "Q8_0", "Q4_0")),
])
def test_every_tensor_arrives(tiny: ModelFolder, tmp_path: Path, quant: str) -> None:
    made = convert_to_file("tiny", quant, tmp_path / "a.gguf")
    found = read_back(made.path)
    assert len(found) == len(tiny.tensors.shapes)
    for name in layout.shapes(tiny.arch):
        kind, values = found[layout.gguf_name(name)]
        original, part = tiny.tensors.array(name), layout.part_of(name)
        assert kind == ("F32" if original.ndim == 1 else quant)
        if part in (layout.Q, layout.K):
            values = undo_rotary(values, tiny.arch.heads if part == layout.Q else tiny.arch.kv_heads)
        if quant in ("F32", "F16"):
            assert np.array_equal(values, original)  # to the bit: the source is F16
        else:
            assert np.array_equal(values, formats.round_trip(original, quant))
    assert made.bytes == made.path.stat().st_size
    assert read_gguf_header(made.path).params == made.params == tiny.arch.params


@pytest.mark.parametrize("quant", BOUND)
@settings(max_examples=15)
@given(arrays(np.float32, (3, 256), elements=st.floats(-1, 1, width=32)))
def test_round_trip_stays_within_the_format(quant: str, values: Floats) -> None:
    values[np.abs(values) < 1e-3] = 0  # scales are F16: far below one they lose digits
    error = np.abs(formats.round_trip(values, quant) - values)
    block = {"Q8_0": 32, "Q5_0": 32, "Q4_0": 32}.get(quant, 256)
    if quant in ("F16", "BF16"):
        assert (error <= BOUND[quant] * np.abs(values)).all()
        return
    largest = np.abs(values).reshape(-1, block).max(1, keepdims=True)
    assert (error.reshape(-1, block) <= (BOUND[quant] + 2**-9) * largest).all()


def test_a_coarser_format_breaks_the_finer_bound() -> None:
    """The mutant of the property above."""
    values = np.linspace(-1, 1, 256, dtype=np.float32)[None, :]
    assert np.abs(formats.round_trip(values, "Q4_0") - values).max() > BOUND["Q8_0"] + 2**-9


def test_rotary_rows_keep_attention_scores() -> None:
    """Rotating llama.cpp's neighbouring pairs in the new order = rotating the halves in the old one."""
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(4 * 8, 16)).astype(np.float32), rng.normal(size=(5, 16)).astype(np.float32)
    positions = np.arange(5)

    def neighbours(values: Floats) -> Floats:
        frequency = 10_000.0 ** (-np.arange(4) / 4)
        angle = positions[:, None] * frequency
        even, odd = values[..., 0::2], values[..., 1::2]
        out = np.empty_like(values)
        out[..., 0::2] = even * np.cos(angle) - odd * np.sin(angle)
        out[..., 1::2] = odd * np.cos(angle) + even * np.sin(angle)
        return out

    def scores(weight: Floats, turn: Any) -> Floats:
        heads: Floats = turn((x @ weight.T).reshape(5, 4, 8).swapaxes(0, 1))
        return heads @ heads.swapaxes(1, 2)

    expected = scores(weight, lambda v: rotate(v, positions, 10_000.0))
    assert np.allclose(scores(rotary_rows(weight, 4), neighbours), expected, atol=1e-4)
    assert not np.allclose(scores(weight, neighbours), expected, atol=1e-4)  # forgetting it is found out
    assert np.array_equal(undo_rotary(rotary_rows(weight, 4), 4), weight)


def test_unknown_formats_and_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"did you mean 'Q8_0'\?"):
        find("tiny", "Q8_O")
    with pytest.raises(UsageError, match="there are F32"):
        find("tiny", "EXL2")
    with pytest.raises(UsageError, match="there are 'tiny'"):
        find("no-such-model", "F16")
    with pytest.raises(UsageError, match="no such file"):
        find(str(tmp_path / "no.gguf"))
    with pytest.raises(UsageError, match=r"holds Q4_0, not Q8_0"):
        find(str(find("tiny", "Q4_0").path), "Q8_0")
    with pytest.raises(UsageError, match=r"neither a \.gguf file nor a folder"):
        find(__file__)
    with pytest.raises(UsageError, match=r"ends in \.gguf"):
        convert_to_file("tiny", "F16", tmp_path / "x.bin")
    (tmp_path / "there.gguf").touch()
    with pytest.raises(UsageError, match="exists already"):
        convert_to_file("tiny", "F16", tmp_path / "there.gguf")


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="rows of 100 do not divide"):
        formats.format_of((4, 100), "Q4_0", "some.weight")
    assert formats.format_of((100,), "Q4_0", "some.norm") == "F32"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """A limit on file size stands in for the full disk: both fail a write in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(Failure, match="nothing was kept"):
            convert_to_file("tiny", "F16", tmp_path / "x.gguf")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_cache_is_used_and_a_damaged_file_is_made_again() -> None:
    first = find("tiny", "Q5_1")
    made_ns = first.path.stat().st_mtime_ns
    assert find("tiny", "q5_1") == first
    assert first.path.stat().st_mtime_ns == made_ns
    whole = first.path.read_bytes()
    first.path.write_bytes(whole[:-1000])
    assert find("tiny", "Q5_1") == first
    assert first.path.read_bytes() == whole
    assert not list(first.path.parent.glob(".tiny-Q5_1*"))


def test_cache_follows_the_content(tmp_path: Path) -> None:
    """Another tokenizer, config or weights under the same name: another file."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in shipped_folder().iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    before = find(str(folder), "Q4_0")
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"max_position_embeddings": 512})
    after = find(str(folder), "Q4_0")
    assert (before.context_tok, after.context_tok) == (4096, 512)
    assert before.path != after.path
    assert before.weights_id == after.weights_id == find("tiny", "Q4_0").weights_id


@pytest.mark.slow
def test_three_processes_at_once_get_one_whole_file() -> None:
    script = "from workbench.models import find; f = find('tiny-3m', 'Q4_1'); print(f.path, len(f.path.read_bytes()))"
    running = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {child.communicate()[0] for child in running}
    assert [child.returncode for child in running] == [0, 0, 0]
    (line,) = said
    path = Path(line.rsplit(" ", 1)[0])
    assert read_gguf_header(path).params > 3_000_000
    assert not list(path.parent.glob(".tiny-3m*"))


def test_a_foreign_gguf_is_identified_by_its_tensors(tmp_path: Path) -> None:
    """Without our key the id is a hash of what lies there: changed weights, changed id."""
    source = find("tiny", "Q4_0")
    whole = bytearray(source.path.read_bytes())
    whole[whole.index(b"inference_workbench.weights_id")] = ord("x")
    (tmp_path / "a.gguf").write_bytes(whole)
    whole[-1] ^= 1
    (tmp_path / "b.gguf").write_bytes(whole)
    one, other = find(str(tmp_path / "a.gguf")), find(str(tmp_path / "b.gguf"), "Q4_0")
    assert len({one.weights_id, other.weights_id, source.weights_id}) == 3
    assert (one.params, one.quant, one.tokenizer_path) == (source.params, "Q4_0", None)


def test_list_shows_what_ships_and_what_is_cached() -> None:
    made = find("tiny", "Q8_0")
    (made.path.parent / "broken.gguf").write_bytes(b"no")
    listed = list_models()
    (made.path.parent / "broken.gguf").unlink()
    assert (listed[0].name, listed[0].params) == ("tiny", 2_033_408)
    assert made.path.name in [line.where for line in listed]
    assert [line.quant for line in listed if line.name == "broken"] == ["?"]
    assert not any("/" in line.where for line in listed)


def _changed_tokenizer(folder: Path, change: Any) -> Path:
    folder.mkdir()
    data = read_json(shipped_folder() / "tokenizer.json")
    change(data)
    write_json(folder / "tokenizer.json", data)
    (folder / "tokenizer_config.json").write_bytes((shipped_folder() / "tokenizer_config.json").read_bytes())
    return folder


@pytest.mark.parametrize(("change", "problem"), [
    (lambda data: data["model"].update(type="Unigram"), "only byte-level BPE"),
    (lambda data: data["model"]["vocab"].update(extra=5000), "do not fit a vocabulary"),
    (lambda data: data["model"].pop("merges"), "damaged or of another kind"),
    (lambda data: data["pre_tokenizer"]["pretokenizers"][0]["pattern"].update(Regex="x+"), "no known name"),
])
def test_other_tokenizers_are_refused(change: Any, problem: str, tmp_path: Path) -> None:
    folder = _changed_tokenizer(tmp_path / "model", change)
    with pytest.raises((UsageError, Failure), match=problem):
        gguf_tokenizer.read(folder, 1024)


def test_tokenizer_metadata_of_the_shipped_model() -> None:
    found = gguf_tokenizer.read(shipped_folder(), 1030)
    assert (found.pre, found.add_bos, found.bos_id, found.eos_id, found.end_of_turn_id) == ("qwen2", True, 0, 0, 2)
    assert found.tokens[-1] == "[UNUSED1029]"
    assert found.chat_template is not None
    assert re.search(r"im_start.*assistant", found.chat_template)


def test_resolve_names_a_grown_model() -> None:
    assert resolve("tiny-27m").arch.params == 27_005_184
