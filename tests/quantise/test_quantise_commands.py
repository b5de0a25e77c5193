"""The commands print what a person or a script can read."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from workbench.cli.convert import command as convert
from workbench.cli.models import group as models
from workbench.cli.quantise import command as quantise
from workbench.models import quantise as methods


def test_the_methods_are_listed() -> None:
    told = json.loads(CliRunner().invoke(quantise, ["--list", "--json"]).stdout)["methods"]
    assert [row["name"] for row in told] == list(methods.METHODS)
    by_name = {row["name"]: row for row in told}
    assert by_name["exl2"]["state"] == "needs an NVIDIA GPU"
    assert by_name["Q8_0"]["state"] == "ready"
    assert CliRunner().invoke(quantise, ["tiny"]).exit_code == 2


def test_what_lacks_is_said_in_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_ENGINES", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    text = CliRunner().invoke(quantise, ["--list"]).stdout
    assert "needs the environment llmcompressor (--install)" in text
    assert "needs llama.cpp's quantiser (--fetch)" in text


def test_a_conversion_says_whether_it_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(convert, ["tiny", "--to", "gguf-bf16"])
    assert done.stdout == "tiny-gguf-bf16.gguf: 4.10 MB; not every weight is exact in this type\n"
    told = json.loads(CliRunner().invoke(convert, ["tiny", "--to", "gguf", "--json"]).stdout)
    assert (told["path"], told["exact"], told["params"]) == ("tiny-gguf.gguf", True, 2_033_408)


def test_inspect_in_words() -> None:
    text = CliRunner().invoke(models, ["inspect", "tiny"]).stdout
    assert "tiny: safetensors F16, licence apache-2.0\nparameters: 2.03 M, 16.00 bits per weight\n" in text
    assert "KV cache: 1,536 bytes a token" in text
    assert "needs: 4.1 MB, weights" in text
    assert "as tried with the shipped model (whose perplexity it is):\n" in text
