"""K-quants by llama.cpp's own quantiser, where one is here: bounds, ids, importance."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from workbench.errors import Failure
from workbench.models import find, formats
from workbench.models.folder import ModelFolder
from workbench.models.gguf_tensors import GgufTensors
from workbench.models.quantise import gguf_file, kquants, llama_library, llama_tool
from workbench.models.quantise.importance import importance
from workbench.models.quantise.llama_tool import Tool
from workbench.models.shipped import resolve
from workbench.models.tensors import Floats

# Largest error of one value, as a share of the largest of its block of 256. Half a step of a sub-block with the full
# range (asymmetric ones span twice the largest: Q5_K 31 steps, Q4_K 15, Q2_K 3; Q6_K has 32 a side; Q3_K ends one step
# early on one side: a whole step of four), and what rounding the scales to 6 (Q6_K: 8, Q2_K: 4) bits adds.
BOUND = {"Q6_K": 1 / 45, "Q5_K_M": 1 / 16, "Q4_K_M": 1 / 10, "Q3_K_M": 1 / 4, "Q2_K": 1 / 2.4}
ORDER = ("Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")


@pytest.fixture
def tool() -> Tool:
    if not llama_tool.available():
        pytest.skip("no llama.cpp quantiser here: `workbench quantise tiny --to Q4_K_M --fetch` gets one")
    return llama_tool.find()


def errors(quant: str) -> dict[str, Floats]:
    """Error of each value as a share of its block's largest, by tensor."""
    folder, tensors = resolve("tiny"), GgufTensors(find("tiny", quant).path)
    found = {}
    for name, shape in folder.tensors.shapes.items():
        if len(shape) > 1:
            values = folder.tensors.array(name).reshape(-1, kquants.BLOCK)
            off = np.abs(tensors.array(name).reshape(-1, kquants.BLOCK) - values)
            found[name] = off / np.abs(values).max(axis=1, keepdims=True)
    return found


@pytest.mark.parametrize("quant", ORDER)
def test_every_value_stays_within_the_format(quant: str, tool: Tool) -> None:
    assert max(float(off.max()) for off in errors(quant).values()) <= BOUND[quant]


def test_fewer_bits_are_further_off(tool: Tool) -> None:
    """The mutant of the property above: a coarser format breaks the finer bound."""
    mean = [float(np.mean([off.mean() for off in errors(quant).values()])) for quant in ORDER]
    assert mean == sorted(mean)
    assert max(float(off.max()) for off in errors("Q2_K").values()) > BOUND["Q6_K"]


def test_the_id_is_that_of_what_came_out(tool: Tool) -> None:
    """Not that of the exact file it was made from; and a grown model counts as the one it grew from."""
    plain, mixed = find("tiny", "F16"), find("tiny", "Q4_K_M")
    assert mixed.quant == "Q4_K_M"
    assert len({plain.weights_id, mixed.weights_id, find("tiny", "Q6_K").weights_id}) == 3
    assert find("tiny-4m", "Q6_K").weights_id == find("tiny", "Q6_K").weights_id  # one type for all matrices


def test_an_importance_matrix_changes_what_is_made(tool: Tool, tmp_path: Path) -> None:
    folder = resolve("tiny")
    rows = [tuple(range(1, 65))]
    matrix = importance(folder.arch, folder.tensors, rows)
    assert len(matrix) == folder.arch.layers * 7
    assert all((values > 0).any() and values.ndim == 1 for values in matrix.values())
    made = kquants.make(folder, "Q2_K", tmp_path / "a.gguf", tool, matrix)
    plain = GgufTensors(find("tiny", "Q2_K").path)
    changed = GgufTensors(tmp_path / "a.gguf")
    name = "model.layers.0.mlp.up_proj.weight"
    assert not np.array_equal(plain.array(name), changed.array(name))
    assert made.weights_id != find("tiny", "Q2_K").weights_id
    off = [_weighted(folder, tensors, matrix, name) for tensors in (plain, changed)]
    assert off[1] < off[0]  # what it is told to weigh is what gets smaller


def _weighted(folder: ModelFolder, tensors: GgufTensors, matrix: dict[str, Floats], name: str) -> float:
    from workbench.models import layout

    off = tensors.array(name) - folder.tensors.array(name)
    return float((off**2 * matrix[layout.gguf_name(name)]).sum())


PROGRAM = """#!{python}
# llama-quantize's command line in front of the library: [--imatrix FILE] SOURCE OUT TYPE [THREADS]
import json, runpy, sys, tempfile
from pathlib import Path
words = sys.argv[1:]
matrix = words[1] if words[0] == "--imatrix" else None
source, out, kind, threads = words[2:] if matrix else words
assert threads == "1"
order = {{"library": {library!r}, "source": source, "out": out, "file_type": {kinds!r}[kind], "imatrix": matrix}}
with tempfile.TemporaryDirectory() as folder:
    sys.argv = ["", folder + "/order.json"]
    Path(sys.argv[1]).write_text(json.dumps(order))
    runpy.run_path({script!r}, run_name="__main__")
"""


@pytest.mark.slow
def test_a_program_on_the_path_goes_first_and_makes_the_same_file(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A real process with llama-quantize's arguments around llama.cpp's own quantiser; with a matrix and without."""
    if tool.kind != "library":
        pytest.skip("no library of llama.cpp's quantiser here: `workbench quantise tiny --to Q4_K_M --fetch` gets one")
    program = tmp_path / "llama-quantize"
    program.write_text(PROGRAM.format(
        python=sys.executable, library=str(tool.path), script=llama_library.__file__,
        kinds={name: int(kind) for name, kind in formats.K_QUANTS.items()}))
    program.chmod(0o700)
    monkeypatch.delenv("WORKBENCH_LLAMA_QUANTIZE", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = llama_tool.find()
    assert (found.kind, found.path, found.label) == ("program", program, "llama-quantize")
    folder = resolve("tiny")
    matrix = importance(folder.arch, folder.tensors, [tuple(range(1, 65))])
    for number, given in enumerate((None, matrix)):
        made = [kquants.make(folder, "Q4_K_M", tmp_path / f"{number}-{one.kind}.gguf", one, given)
                for one in (found, tool)]
        assert made[0].path.read_bytes() == made[1].path.read_bytes()
        assert made[0].weights_id == made[1].weights_id
    named = tmp_path / "elsewhere"
    program.rename(named)
    monkeypatch.setenv("WORKBENCH_LLAMA_QUANTIZE", str(named))
    assert llama_tool.find().path == named


def test_a_tool_that_fails_is_one_line(tool: Tool, tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_bytes(b"GGUF")
    with pytest.raises(Failure, match=r"Q4_K_M by .* failed"):
        kquants.run_tool(tool, tmp_path / "no.gguf", "Q4_K_M", tmp_path / "out.gguf", None)
    with pytest.raises(Failure, match="failed"):
        kquants.run_tool(Tool("program", Path("/bin/false"), "x"), tmp_path / "no.gguf", "Q4_K_M", tmp_path / "o", None)


def test_the_id_is_put_in_its_place_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(find("tiny", "Q4_0").path.read_bytes())
    before, whole = find(str(path)), path.read_bytes()
    kquants.put_id(path, "f" * 64)
    assert find(str(path)).weights_id == "f" * 64
    assert path.read_bytes() == whole.replace(before.weights_id.encode(), b"f" * 64)


def test_uniform_formats_need_no_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORKBENCH_ENGINES", str(tmp_path))
    assert gguf_file.tool_for("Q8_0") is None
    assert set(formats.K_QUANTS).isdisjoint(formats.FORMATS)


def test_the_numpy_model_tells_what_goes_into_each_matrix() -> None:
    """Of a watch: as many rows as tokens, and the square mean of what the norm lets through."""
    folder = resolve("tiny")
    matrix = importance(folder.arch, folder.tensors, [(1, 2, 3), (4, 5, 6)])
    one = importance(folder.arch, folder.tensors, [(1, 2, 3)])
    two = importance(folder.arch, folder.tensors, [(4, 5, 6)])
    for name, values in matrix.items():
        assert np.allclose(values, (one[name] + two[name]) / 2, rtol=1e-4)
