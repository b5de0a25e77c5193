"""Methods are found by name, and what cannot be made here says so before anything is written."""

import sys
from pathlib import Path

import pytest

from workbench.errors import Failure, UsageError
from workbench.flows.quantise import Order, default_out, quantise_model
from workbench.flows.quantise_environments import RECORDS
from workbench.flows.quantise_reload import cause
from workbench.models import quantise
from workbench.models.quantise import llama_tool, prebuilt
from workbench.models.quantise.verdict import FAR, NEAR, judge


@pytest.mark.parametrize("name", quantise.METHODS)
def test_each_name_leads_to_its_method(name: str) -> None:
    method = quantise.find(name.upper())
    assert method.name == name
    if method.child:
        assert (Path(quantise.__file__).parent / "children" / f"{method.child}.py").is_file()
    if method.environment in RECORDS:
        environment = RECORDS[method.environment].environment
        assert environment is not None
        assert environment.lock_path.is_file()


@pytest.mark.parametrize(("name", "said"), [
    ("q4km", "did you mean 'Q4_K_M'"), ("AutoAWQ", "'awq' does its work"), ("auto-gptq", "'gptq' does its work"),
    ("zzz", "there are F32"),
])
def test_an_unknown_method_is_one_line(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        quantise.find(name)


def test_what_needs_a_gpu_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exl3 needs an NVIDIA GPU"):
        quantise_model(Order("tiny", quantise.find("exl3"), tmp_path / "x"))


def test_a_missing_environment_names_the_flag_and_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_ENGINES", str(tmp_path / "envs"))
    if f"{sys.version_info.major}.{sys.version_info.minor}" != "3.11":
        pytest.skip("the locks are for Python 3.11")
    with pytest.raises(UsageError, match=r"--install \(58 of 58 packages, \d+ MB to fetch"):
        quantise_model(Order("tiny", quantise.find("fp8"), tmp_path / "x"))


def test_without_a_quantiser_the_ways_to_get_one_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_ENGINES", str(tmp_path / "envs"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("WORKBENCH_LLAMA_QUANTIZE", raising=False)
    with pytest.raises(UsageError, match="--fetch"):
        llama_tool.find()
    monkeypatch.setenv("WORKBENCH_LLAMA_QUANTIZE", str(tmp_path / "no"))
    with pytest.raises(Failure, match="no such file"):
        llama_tool.find()


def test_only_the_pinned_archive_is_unpacked(tmp_path: Path) -> None:
    archive = tmp_path / "a.tgz"
    archive.write_bytes(b"another")
    with pytest.raises(Failure, match="was pinned; it was not used"):
        prebuilt.unpack(archive, tmp_path / "out", prebuilt.ARCHIVE_SHA256)
    assert not (tmp_path / "out").exists()


def test_of_an_archive_only_libraries_are_taken(tmp_path: Path) -> None:
    import hashlib
    import io
    import tarfile

    archive, inside = tmp_path / "a.tgz", "package/bins/linux-x64/"
    with tarfile.open(archive, "w:gz") as tar:
        for name in (f"{inside}libllama.v1.so", f"{inside}../../../evil.so", f"{inside}deep/x.so", "package/index.js"):
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
        link = tarfile.TarInfo(f"{inside}link.so")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    prebuilt.unpack(archive, tmp_path / "out", hashlib.sha256(archive.read_bytes()).hexdigest())
    assert [path.name for path in tmp_path.rglob("*.so")] == ["libllama.v1.so"]


def test_existing_results_and_odd_names_are_refused(tmp_path: Path) -> None:
    method = quantise.find("Q8_0")
    assert default_out("models/a.gguf", method).name == "a-Q8_0.gguf"
    with pytest.raises(UsageError, match=r"ends in \.gguf"):
        quantise_model(Order("tiny", method, tmp_path / "x"))
    (tmp_path / "x.gguf").touch()
    with pytest.raises(UsageError, match="exists already"):
        quantise_model(Order("tiny", method, tmp_path / "x.gguf"))
    with pytest.raises(UsageError, match=r"workbench convert b\.gguf --to safetensors"):
        quantise_model(Order("a/b.gguf", method, tmp_path / "y.gguf"))
    with pytest.raises(UsageError, match="takes no importance matrix"):
        quantise_model(Order("tiny", method, tmp_path / "y.gguf", importance=True))


def test_of_an_engines_errors_the_first_is_told() -> None:
    lines = ["WARNING: this can cause errors like `OSError: [Errno 24] Too many`",
             "(Worker) ERROR [x.py:1] AttributeError: no attribute 'gemm'", "ERROR RuntimeError: Worker failed", "down"]
    assert cause(lines) == "AttributeError: no attribute 'gemm'"
    assert cause(["INFO: all is well"]) == ""


@pytest.mark.parametrize(("found", "original", "expected", "good"), [
    (2.0, 2.0, None, True), (2.0 * FAR, 2.0, None, True), (2.0 * FAR + 0.01, 2.0, None, False),
    (600.0, 2.0, 590.0, True), (600.0, 2.0, 2.1, False), (2.0, 2.0, 2.0 * NEAR - 0.01, True),
    (2.0, 2.0, 600.0, False), (float("nan"), 2.0, None, False), (float("inf"), 2.0, 2.0, False),
    (5.0, 2.0, float("inf"), True),
])
def test_a_wrong_reload_is_told_from_a_coarse_format(
    found: float, original: float, expected: float | None, good: bool
) -> None:
    assert judge(found, original, expected).good is good
