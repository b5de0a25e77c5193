"""What a model is, from its header alone; and headers that lie, in every format that is read."""

import json
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quickly import refused_quickly

from workbench.errors import UsageError, WorkbenchError
from workbench.files import write_json
from workbench.flows.inspect import inspect
from workbench.models import find, headers
from workbench.models.folder import NEEDED, open_folder
from workbench.models.onnx_header import Initialiser, params, read_onnx
from workbench.models.quantised import open_quantised
from workbench.models.shipped import shipped_folder
from workbench.models.tensors import ALL_BITS, INDEX

GENAI = {"model": {"type": "llama", "vocab_size": 1024, "context_length": 64,
                   "decoder": {"hidden_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4,
                               "num_key_value_heads": 2, "head_size": 64}}}


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def initialiser(name: str, kind: int, *shape: int) -> bytes:
    dims = b"".join(field(1, size) for size in shape)
    return field(5, dims + field(2, kind) + field(8, name.encode()) + field(9, b"raw"))


def onnx_bytes(*parts: bytes) -> bytes:
    return field(1, 8) + field(7, field(1, b"a node") + b"".join(parts)) + field(2, b"producer ........")


def onnx_folder(folder: Path, model: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    write_json(folder / "genai_config.json", GENAI)
    (folder / "model.onnx").write_bytes(model)
    return folder


def test_the_shipped_model_in_two_formats() -> None:
    folder, file = inspect("tiny"), inspect(str(find("tiny", "Q8_0").path))
    for found in (folder, file):
        assert (found["params"], found["layers"], found["kv_bytes_per_tok"]) == (2_033_408, 3, 1536)
        assert found["needs"]["kv_bytes_full_context"] == 1536 * 4096
    assert (folder["form"], folder["method"], folder["licence"]) == ("safetensors", "F16", "apache-2.0")
    assert folder["bits_per_weight"] == 16.0
    assert file["method"] == "Q8_0"
    assert 8.5 <= file["bits_per_weight"] < 8.7  # norms stay F32
    assert "llama.cpp" in [row["engine"] for row in file["engines"]]


def test_an_id_of_the_table_is_described_without_weights() -> None:
    found = inspect("meta-llama/Llama-3.1-8B")
    assert (found["params"], found["kv_bytes_per_tok"]) == (8_030_261_248, 128 * 1024)
    assert "models get meta-llama/Llama-3.1-8B" in found["needs"]["note"]
    assert found["licence"].startswith("Llama 3.1 Community License")
    assert inspect("Llama-3.3-70B")["licence"].startswith("Llama 3.3 "), "an alias keeps its own"
    with pytest.raises(UsageError, match="is not known"):
        inspect("no-such/model")
    with pytest.raises(UsageError, match="no such file or folder"):
        inspect("no-such-model")


def test_an_export_counts_packed_and_doubled_weights_once(tmp_path: Path) -> None:
    found = read_onnx(onnx_folder(tmp_path / "o", onnx_bytes(
        initialiser("a.weight_Q4", 2, 512, 8, 16), initialiser("a.weight_scales", 1, 512, 8),
        initialiser("b.weight", 1, 10, 3), initialiser("b.weight_quantized", 3, 10, 3), initialiser("cos_cache", 1, 9),
    )) / "model.onnx")
    assert found[0] == Initialiser("a.weight_Q4", "U8", (512, 8, 16))
    assert params(found) == 512 * 256 + 30
    packed = field(5, field(1, varint(7) + varint(300)) + field(2, 10) + field(8, b"c.weight"))
    assert read_onnx(onnx_folder(tmp_path / "p", onnx_bytes(packed)) / "model.onnx")[0].shape == (7, 300)
    told = inspect(str(tmp_path / "o"))
    assert (told["form"], told["method"], told["kv_bytes_per_tok"]) == ("ONNX", "onnx U8", 1536)


HOSTILE_ONNX = {
    "empty": b"",
    "no graph": field(1, 8) * 20,
    "a length beyond the file": varint(7 << 3 | 2) + varint(1 << 60) + bytes(64),
    "a number without end": varint(7 << 3) + b"\xff" * 64,
    "a group": bytes([7 << 3 | 3]) * 40,
    "millions of fields": onnx_bytes(field(1, 1) * 1_000_000),
    "dimensions": onnx_bytes(initialiser("a", 1, *[1] * 9)),
    "packed dimensions": onnx_bytes(field(5, field(1, varint(1) * 1_000_000) + field(2, 1))),
    "a huge shape": onnx_bytes(initialiser("a", 1, 1 << 60)),
    "cut within a tensor": onnx_bytes(initialiser("a.weight", 1, 2, 2))[:-20],
}


@pytest.mark.parametrize("case", HOSTILE_ONNX)
def test_hostile_onnx_is_one_line(case: str, tmp_path: Path) -> None:
    folder = onnx_folder(tmp_path / "o", HOSTILE_ONNX[case])
    assert "model.onnx" in refused_quickly(lambda: inspect(str(folder)))


def quantised_folder(folder: Path, header: dict[str, object], data: int) -> Path:
    folder.mkdir()
    write_json(folder / "config.json", json.loads((shipped_folder() / "config.json").read_text())
               | {"quantization_config": {"quant_method": "gptq"}})
    raw = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(data))
    return folder


def test_quantised_safetensors_are_counted_by_their_architecture(tmp_path: Path) -> None:
    folder = quantised_folder(tmp_path / "q", {
        "a.qweight": {"dtype": "I32", "shape": [4, 8], "data_offsets": [0, 128]},
        "a.scales": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [128, 136]},
    }, 136)
    found = inspect(str(folder))
    assert (found["method"], found["params"], found["weight_bytes"]) == ("gptq", 2_033_408, 136)
    assert found["kinds"] == {"I32": 128, "F8_E4M3": 8}
    assert set(ALL_BITS.values()) == {4, 6, 8, 16, 32, 64}


@pytest.mark.parametrize("header", [
    {"a": {"dtype": "I32", "shape": [4, 9], "data_offsets": [0, 128]}},
    {"a": {"dtype": "Q4", "shape": [4, 8], "data_offsets": [0, 128]}},
    {"a": {"dtype": "I32", "shape": [4, 8], "data_offsets": [8, 136]}},
    {"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 1]}},
])
def test_a_quantised_header_that_lies_is_one_line(header: dict[str, object], tmp_path: Path) -> None:
    folder = quantised_folder(tmp_path / "q", header, 128)
    assert "model.safetensors" in refused_quickly(lambda: inspect(str(folder)))


@pytest.mark.parametrize("index", [
    b"[" * 200_000, b'{"weight_map": {"a": "../../x.safetensors"}}', b'{"weight_map": {"a": "model.bin"}}',
    b'{"weight_map": 3}', b'{"weight_map": {"a": 3}}', b"[]", b'{"a": ' + b"9" * 5000 + b"}", b" " * (17 << 20),
])
def test_an_index_that_lies_is_one_line(index: bytes, tmp_path: Path) -> None:
    folder = quantised_folder(tmp_path / "q", {}, 0)
    (folder / INDEX).write_bytes(index)
    (folder / "model.bin").write_bytes((folder / "model.safetensors").read_bytes())
    refused_quickly(lambda: headers.read(folder))


@settings(max_examples=40)
@given(st.data())
def test_any_changed_byte_of_a_header_is_read_or_refused(data: st.DataObject) -> None:
    """ONNX and quantised safetensors: a description or one line, never anything else."""
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        if data.draw(st.booleans()):
            folder = onnx_folder(Path(scratch) / "o", onnx_bytes(initialiser("a.weight_Q4", 2, 4, 2, 16)))
            file = folder / "model.onnx"
        else:
            folder = quantised_folder(Path(scratch) / "q", {
                "a": {"dtype": "I32", "shape": [4, 8], "data_offsets": [0, 128]}}, 128)
            file = folder / data.draw(st.sampled_from(["model.safetensors", "config.json"]))
        whole = bytearray(file.read_bytes())
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        file.write_bytes(whole)
        said = ""
        try:
            headers.read(folder)
        except WorkbenchError as error:
            said = str(error)
        assert "\n" not in said


@pytest.mark.parametrize("name", ["model.bin", "model.pt", "model.ckpt"])
def test_pickled_weights_are_never_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"x")
    for path in (tmp_path, tmp_path / name):
        assert "a program that runs when it is opened" in refused_quickly(lambda path=path: inspect(str(path)))
    for file in NEEDED:
        shutil.copy(shipped_folder() / file, tmp_path)
    assert "a program that runs when it is opened" in refused_quickly(lambda: open_folder(tmp_path))
    (tmp_path / "config.json").write_text('{"quantization_config": {"quant_method": "gptq"}}')
    assert "a program that runs when it is opened" in refused_quickly(lambda: open_quantised(tmp_path))
