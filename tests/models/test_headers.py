"""Headers that lie end in one line, quickly and in little memory."""

import json
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quickly import refused_quickly

from workbench.errors import WorkbenchError
from workbench.models.arch import Architecture, from_config
from workbench.models.folder import open_folder
from workbench.models.gguf_header import read_gguf_header
from workbench.models.shipped import find, shipped_folder
from workbench.models.tensors import places

HEADER = struct.Struct("<4sIQQ")


def string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def gguf_bytes(tensors: int = 0, keys: int = 0, rest: bytes = b"", magic: bytes = b"GGUF", version: int = 3) -> bytes:
    return HEADER.pack(magic, version, tensors, keys) + rest


def tensor(name: bytes = b"t", shape: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    sizes = b"".join(struct.pack("<Q", size) for size in shape)
    return string(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", kind, offset)


def key_value(kind: int, value: bytes, name: bytes = b"k") -> bytes:
    return string(name) + struct.pack("<I", kind) + value


HOSTILE = {
    "empty": b"",
    "magic": gguf_bytes(magic=b"GGML"),
    "version": gguf_bytes(version=9),
    "tensor count": gguf_bytes(tensors=1 << 63),
    "key count": gguf_bytes(keys=(1 << 16) + 1, rest=bytes(1 << 20)),
    "key longer than the file": gguf_bytes(keys=1, rest=struct.pack("<Q", 1 << 62) + bytes(64)),
    "key is not text": gguf_bytes(keys=1, rest=key_value(4, bytes(4), b"\xff\xfe") + bytes(9)),
    "value type": gguf_bytes(keys=1, rest=key_value(77, bytes(8))),
    "array of arrays": gguf_bytes(keys=1, rest=key_value(9, struct.pack("<IQ", 9, 1) + bytes(64))),
    "array count": gguf_bytes(keys=1, rest=key_value(9, struct.pack("<IQ", 8, 1 << 60) + bytes(64))),
    "a million empty strings": gguf_bytes(keys=1, rest=key_value(9, struct.pack("<IQ", 8, 1_000_001)) + bytes(9 << 20)),
    "key twice": gguf_bytes(keys=2, rest=key_value(4, bytes(4)) * 2),
    "dimensions": gguf_bytes(tensors=1, rest=tensor(shape=(1,) * 9) + bytes(64)),
    "tensor type": gguf_bytes(tensors=1, rest=tensor(kind=999) + bytes(64)),
    "no items": gguf_bytes(tensors=1, rest=tensor(shape=(0,)) + bytes(64)),
    "overflowing shape": gguf_bytes(tensors=1, rest=tensor(shape=(1 << 40, 1 << 40)) + bytes(64)),
    "rows do not fit blocks": gguf_bytes(tensors=1, rest=tensor(shape=(33,), kind=2) + bytes(256)),
    "tensor beyond the file": gguf_bytes(tensors=1, rest=tensor(shape=(1024,)) + bytes(64)),
    "offset beyond the file": gguf_bytes(tensors=1, rest=tensor(offset=1 << 50) + bytes(4096)),
    "offset not aligned": gguf_bytes(tensors=1, rest=tensor(offset=1) + bytes(4096)),
    "alignment": gguf_bytes(keys=1, rest=key_value(4, struct.pack("<I", 3), b"general.alignment")),
    "tensor twice": gguf_bytes(tensors=2, rest=tensor() * 2 + bytes(4096)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_gguf_is_one_line(case: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(HOSTILE[case])
    assert refused_quickly(lambda: find(str(path))).startswith("bad.gguf: ")


def test_a_sound_header_is_read(tmp_path: Path) -> None:
    path = tmp_path / "good.gguf"
    path.write_bytes(gguf_bytes(tensors=1, keys=1, rest=key_value(8, string(b"llama")) + tensor() + bytes(256)))
    header = read_gguf_header(path)
    assert header.metadata == {"k": "llama"}
    assert header.tensors["t"].shape == (32,)


@settings(max_examples=60)
@given(st.data())
def test_mutated_gguf_is_read_or_refused(data: st.DataObject) -> None:
    """Any byte of the header changed: a header or one line, never anything else."""
    path = find("tiny", "Q4_0").path
    whole = path.read_bytes()
    at = data.draw(st.integers(0, min(len(whole), 60_000) - 1))
    mutated = bytearray(whole)
    mutated[at] = data.draw(st.integers(0, 255))
    target = path.parent.parent / "mutated.gguf"
    target.write_bytes(mutated[: data.draw(st.sampled_from([len(whole), at, len(whole) - 1]))])
    said = ""
    try:
        find(str(target))
    except WorkbenchError as error:
        said = str(error)
    assert "\n" not in said


def safetensors_bytes(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(shape: object = (2,), offsets: object = (0, 8), dtype: object = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HOSTILE_SAFETENSORS = {
    "empty": b"",
    "length": safetensors_bytes({}, length=1 << 60),
    "length beyond the file": safetensors_bytes({}, length=100),
    "not JSON": safetensors_bytes(b"{"),
    "not an object": safetensors_bytes([1]),
    "deep": safetensors_bytes(b"[" * 100_000),
    "millions of lists": safetensors_bytes(b'{"a":[' + b"[]," * 4_000_000 + b"[]]}"),
    "millions of numbers": safetensors_bytes(b'{"a":[' + b"300," * 4_000_000 + b"1]}"),
    "a long number": safetensors_bytes(b'{"a":' + b"9" * 1_000_000 + b"}"),
    "entry": safetensors_bytes({"a": 3}),
    "negative shape": safetensors_bytes({"a": entry(shape=[-1])}, bytes(8)),
    "boolean shape": safetensors_bytes({"a": entry(shape=[True])}, bytes(8)),
    "unknown type": safetensors_bytes({"a": entry(dtype="I4")}, bytes(8)),
    "type is a list": safetensors_bytes({"a": entry(dtype=[])}, bytes(8)),
    "sizes": safetensors_bytes({"a": entry(shape=[3])}, bytes(8)),
    "three offsets": safetensors_bytes({"a": entry(offsets=[0, 4, 8])}, bytes(8)),
    "overlap": safetensors_bytes({"a": entry(), "b": entry(offsets=[4, 12])}, bytes(12)),
    "gap": safetensors_bytes({"a": entry(), "b": entry(offsets=[12, 20])}, bytes(20)),
    "cut short": safetensors_bytes({"a": entry()}, bytes(7)),
    "too long": safetensors_bytes({"a": entry()}, bytes(9)),
}


@pytest.mark.parametrize("case", HOSTILE_SAFETENSORS)
def test_hostile_safetensors_is_one_line(case: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(HOSTILE_SAFETENSORS[case])
    assert refused_quickly(lambda: places(path)).startswith("bad.safetensors: ")


def test_sound_safetensors_is_read(tmp_path: Path) -> None:
    path = tmp_path / "good.safetensors"
    path.write_bytes(safetensors_bytes({"a": entry(), "__metadata__": {"format": "pt"}}, bytes(8)))
    assert places(path)["a"].shape == (2,)


def copy_of_shipped(folder: Path, **config_changes: object) -> Path:
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (folder / name).symlink_to(shipped_folder() / name)
    config = json.loads((shipped_folder() / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | config_changes))
    return folder


@pytest.mark.parametrize("changes", [
    {"architectures": ["MistralForCausalLM"]}, {"hidden_size": 0}, {"hidden_size": True}, {"hidden_size": "256"},
    {"num_hidden_layers": 1 << 23}, {"num_hidden_layers": 2}, {"vocab_size": 1000}, {"num_key_value_heads": 3},
    {"head_dim": 63}, {"rope_parameters": {"rope_type": "yarn"}}, {"rms_norm_eps": -1}, {"attention_bias": True},
    {"inference_workbench_grown": {"from": "x"}},
    {"inference_workbench_grown": {"from": "x", "layers": 9, "feed_forward": 512}},
    {"inference_workbench_grown": {"from": "x", "layers": 2, "feed_forward": 512}},
])
def test_lying_config_is_one_line(changes: dict[str, object], tmp_path: Path) -> None:
    folder = copy_of_shipped(tmp_path / "model", **changes)
    assert "model" in refused_quickly(lambda: open_folder(folder))


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_missing_file_is_named(missing: str, tmp_path: Path) -> None:
    folder = copy_of_shipped(tmp_path / "model")
    (folder / missing).unlink()
    assert missing in refused_quickly(lambda: open_folder(folder))


@pytest.mark.parametrize("names", [{"a": "../x.safetensors"}, {"a": "/etc/passwd"}, {"a": 3}, [], None])
def test_index_cannot_lead_out_of_its_folder(names: object, tmp_path: Path) -> None:
    folder = copy_of_shipped(tmp_path / "model")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    refused_quickly(lambda: open_folder(folder))


def test_weights_with_nan_are_refused(tmp_path: Path) -> None:
    folder = copy_of_shipped(tmp_path / "model")
    whole = bytearray((shipped_folder() / "model.safetensors").read_bytes())
    whole[-2:] = np.float16("nan").tobytes()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(whole)
    opened = open_folder(folder)
    assert "NaN" in refused_quickly(lambda: [opened.tensors.array(name) for name in opened.tensors.shapes])


def test_architecture_counts_its_parameters() -> None:
    arch = from_config(json.loads((shipped_folder() / "config.json").read_text()))
    opened = open_folder(shipped_folder())
    assert arch.params == sum(int(np.prod(shape)) for shape in opened.tensors.shapes.values()) == 2_033_408
    # by hand: 2 (keys, values) x 3 layers x 2 heads x 64 x 2 bytes
    assert arch.kv_bytes_per_tok() == 1536
    # Llama 3.1 8B, from its model card: 8.03 B parameters, 128 KiB of KV cache a token
    large = Architecture(128_256, 4096, 32, 14_336, 32, 8, 128, 131_072, 5e5, 1e-5, tied=False)
    assert large.params == 8_030_261_248
    assert large.kv_bytes_per_tok() == 128 * 1024


def test_gguf_reader_agrees_with_the_gguf_package() -> None:
    path = find("tiny", "Q4_0").path
    ours, theirs = read_gguf_header(path), gguf.GGUFReader(path)
    assert list(ours.tensors) == [tensor.name for tensor in theirs.tensors]
    for tensor in theirs.tensors:
        found = ours.tensors[tensor.name]
        assert found.kind == tensor.tensor_type
        assert found.start == tensor.data_offset
        assert found.size_bytes == tensor.n_bytes
        assert list(reversed(found.shape)) == list(tensor.shape)
    assert ours.metadata["tokenizer.ggml.tokens"] == theirs.fields["tokenizer.ggml.tokens"].contents()
