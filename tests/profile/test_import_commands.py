"""`workbench profile import ...` and `... roofline`: written, printed, and one line for what is wrong."""

import json
from pathlib import Path

import click
import pytest

from workbench.cli.profile_import import import_group, roofline
from workbench.errors import UsageError
from workbench.profile.profile import read

TABLE = """llama.cpp prints logs before the table
| model                | size     | params | backend | ngl | test  | t/s           |
| -------------------- | -------: | -----: | ------- | --: | ----: | ------------: |
| llama 1B Q8_0        | 1.09 GiB | 1.10 B | ROCm    |  99 | pp512 | 6000.00 ± 1.0 |
| llama 1B Q8_0        | 1.09 GiB | 1.10 B | ROCm    |  99 | tg128 |  200.00 ± 1.0 |
"""


def run(command: click.Command, *words: str | Path) -> None:
    command.main(args=[str(word) for word in words], standalone_mode=False)


def test_a_roofline_profile_is_written_and_labelled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "m2.json"
    run(roofline, "--model", "Llama-3.1-8B", "--accelerator", "M2_ULTRA", "--quant", "Q4_K_M", "--out", out, "--json")
    shown = json.loads(capsys.readouterr().out)["profile"]
    assert shown["source"] == "roofline"
    assert "nothing was measured" in shown["thin"][0]
    assert read(out).rules["engine"] == "llama.cpp"
    with pytest.raises(UsageError, match="is there already"):
        run(roofline, "--model", "Llama-3.1-8B", "--accelerator", "M2_ULTRA", "--out", out)


def test_an_assumption_can_be_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--model", "Llama-3.1-8B", "--accelerator", "L40S")
    run(roofline, *words, "--out", tmp_path / "a.json")
    run(roofline, *words, "--assume", "memory_frac=0.4", "--out", tmp_path / "b.json")
    a, b = read(tmp_path / "a.json"), read(tmp_path / "b.json")
    assert b.provenance["roofline"]["efficiency"]["memory_frac"] == 0.4
    assert b.decode_line(1, 512).first_fs > 1.9 * a.decode_line(1, 512).first_fs
    assert "roofline" in capsys.readouterr().out


def test_a_model_of_ones_own(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({
        "model_type": "llama", "hidden_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2,
        "vocab_size": 1024, "num_hidden_layers": 3, "intermediate_size": 512, "tie_word_embeddings": True,
    }))
    run(roofline, "--model", config, "--accelerator", "cpu", "--out", tmp_path / "p.json")
    assert read(tmp_path / "p.json").provenance["roofline"]["architecture"]["params"] == 2_033_408


def test_a_benchmark_table_becomes_a_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "bench.md"
    table.write_text(TABLE, encoding="utf-8")
    out = tmp_path / "p.json"
    run(import_group, "llama-bench", table, "--model", "tinyllama", "--hardware", "RX 7900 XTX", "--out", out)
    found = read(out)
    assert (found.subject.model, found.subject.hardware, found.source) == ("tinyllama", "RX 7900 XTX", "imported")
    assert found.decode_line(1, 64).last_ns(1) == pytest.approx(5e6, rel=1e-6)
    assert "only 1 sequence(s)" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "message"), [
    (("--model", "Llama-3.1-8B", "--accelerator", "H1000"), "did you mean"),
    (("--model", "Llama-3.1-9B", "--accelerator", "H100"), "did you mean"),
    (("--model", "Llama-3.1-8B", "--accelerator", "H100", "--quant", "fp9"), "quant: 'fp9'"),
    (("--model", "Llama-3.1-8B", "--accelerator", "H100", "--assume", "memory_frac"), "KEY=VALUE"),
    (("--model", "Llama-3.1-8B", "--accelerator", "H100", "--assume", "memory_frac=x"), "no number"),
    (("--model", "Llama-3.1-8B", "--accelerator", "H100", "--tp", "3"), "3 ways"),
])
def test_wrong_words_are_one_line(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        run(roofline, *words, "--out", tmp_path / "p.json")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_kernel_tables_get_their_kv_blocks_from_memory(public_data: Path, tmp_path: Path) -> None:
    """The RTX 4090's own vLLM reported 2,588 blocks; derived: 3 % less, and labelled."""
    folder = public_data / "llmservingsim"
    out = tmp_path / "p.json"
    run(import_group, "llmservingsim", folder / "perf/RTX4090/meta-llama/Llama-3.1-8B/bf16",
        "--model-config", folder / "configs/model/meta-llama/Llama-3.1-8B.json", "--out", out)
    found = read(out)
    assert found.kv_blocks == 2508
    assert found.provenance["kv_blocks"]["origin"] == "derived"
