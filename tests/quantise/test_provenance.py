"""A model whose files are not those of its provenance is refused."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from engines import find as find_engine
from workbench.errors import Failure, UsageError, WorkbenchError
from workbench.files import read_json, write_json
from workbench.flows.engine_models import model_for
from workbench.flows.inspect import inspect
from workbench.models import find, provenance
from workbench.models.folder import open_folder
from workbench.models.licence import licence_of
from workbench.models.provenance import Provenance
from workbench.models.quantised import method_of, open_quantised
from workbench.models.shipped import shipped_folder

GOLDEN = Path(__file__).parent / "provenance-1.json"


def told(model: Path) -> Provenance:
    return Provenance(
        method="Q4_0", form="gguf", bits_per_weight=4.5, bytes=1, params=2, weights_id="a" * 64,
        source={"name": "tiny"}, library={"gguf": "0"}, calibration=None, settings={},
        files=provenance.hashes(model), made_at_utc="2026-11-30T00:00:00Z",
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    shutil.copytree(shipped_folder(), model)
    provenance.write(model, told(model))
    return model


def test_what_is_as_written_is_read(folder: Path) -> None:
    assert open_folder(folder).arch.params == 2_033_408
    assert provenance.check(folder) == provenance.read(folder)


def test_a_flipped_bit_a_lost_and_a_new_file_are_named(folder: Path) -> None:
    weights = folder / "model.safetensors"
    whole = bytearray(weights.read_bytes())
    whole[-1] ^= 1
    weights.write_bytes(whole)
    with pytest.raises(Failure, match=r"model\.safetensors has changed"):
        open_folder(folder)
    whole[-1] ^= 1
    weights.write_bytes(whole)
    (folder / "modeling.py").write_text("1")
    with pytest.raises(Failure, match=r"modeling\.py is new"):
        open_folder(folder)
    (folder / "modeling.py").unlink()
    (folder / "generation_config.json").unlink()
    with pytest.raises(Failure, match=r"generation_config\.json is missing"):
        open_folder(folder)


def test_a_gguf_file_has_its_provenance_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    shutil.copyfile(find("tiny", "Q4_0").path, path)
    provenance.write(path, told(path))
    assert find(str(path)).quant == "Q4_0"
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    with pytest.raises(Failure, match="has changed"):
        find(str(path))


def test_the_first_schema_is_read_and_a_newer_one_refused(tmp_path: Path) -> None:
    target = tmp_path / provenance.IN_FOLDER
    shutil.copyfile(GOLDEN, target)
    found = provenance.read(tmp_path)
    assert found is not None
    assert (found.method, found.reloads[0]["engine"]) == ("fp8", "transformers")
    assert read_json(GOLDEN) == {**asdict(found), "reloads": list(found.reloads)}
    write_json(target, read_json(GOLDEN) | {"schema": 2})
    with pytest.raises(UsageError, match="schema 2, this version reads up to 1"):
        provenance.read(tmp_path)


@pytest.mark.parametrize("raw", [[], {"schema": 1}, {"schema": "1", "files": {}}, {"schema": 1, "files": [], "x": 2}])
def test_damaged_provenance_is_one_line(raw: object, tmp_path: Path) -> None:
    write_json(tmp_path / provenance.IN_FOLDER, raw)
    with pytest.raises(WorkbenchError, match="damaged"):
        provenance.check(tmp_path)


def test_a_link_is_no_file_of_the_model(folder: Path) -> None:
    (folder / "extra.safetensors").symlink_to("/etc/hostname")
    with pytest.raises(Failure, match="is a link"):
        open_folder(folder)


def test_quantised_folders_are_known_by_what_they_say(folder: Path) -> None:
    assert method_of(folder) is None
    with pytest.raises(UsageError, match="no quantised checkpoint"):
        open_quantised(folder)
    (folder / provenance.IN_FOLDER).unlink()
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"quantization_config": {"quant_method": "gptq"}})
    found = open_quantised(folder)
    assert (found.quant, found.context_tok, found.params) == ("gptq", 4096, 0)
    assert model_for(find_engine("vllm-cpu"), str(folder)) == found  # served as it is
    with pytest.raises(UsageError, match="model holds gptq; leave it out"):
        model_for(find_engine("vllm-cpu"), str(folder), "F16")
    write_json(folder / "config.json", config | {"quantization_config": []})
    with pytest.raises(Failure, match="no quant_method"):
        open_quantised(folder)


def test_a_fetched_model_is_known_by_its_files(folder: Path) -> None:
    """The hub tells neither parameters nor a weights_id: those come from the header, and from the weights."""

    def fetched() -> None:
        (folder / provenance.IN_FOLDER).unlink()
        here = replace(told(folder), method="fetched", form="hub", bits_per_weight=0.0, params=0, weights_id="",
                       source={"name": "owner/name", "licence": "mit"})
        provenance.write(folder, here)

    fetched()
    found = inspect(str(folder))
    assert (found["method"], found["params"], found["bits_per_weight"], found["licence"]) == (
        "F16", 2_033_408, 16.0, "mit")
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"quantization_config": {"quant_method": "gptq"}})
    fetched()
    opened = open_quantised(folder)
    assert opened.quant == "gptq"
    assert len(opened.weights_id) == 64


def test_the_licence_is_read_where_it_is_stated(tmp_path: Path) -> None:
    assert licence_of(shipped_folder()) == "apache-2.0"
    assert licence_of(tmp_path) == "not stated"
    (tmp_path / "LICENSE").touch()
    assert licence_of(tmp_path) == "see LICENSE"
