"""Accelerators: what ships is sound and sourced; sentinels, cut rows and doubles are refused by file and line."""

import csv
from datetime import date
from pathlib import Path

import pytest

from workbench.errors import UsageError
from workbench.hardware import accelerators
from workbench.hardware.accelerators import Accelerator
from workbench.paths import datasets

TABLE = datasets() / "hardware" / "accelerators.csv"
LADDER = ("L40S", "A100-40GB", "A100-80GB", "A100-80GB-PCIe", "H100-SXM", "H100-PCIe", "H200", "B200", "RTX3060",
          "RTX3090", "RTX4090", "RTXPRO6000", "L4", "A10", "MI300X", "TPU-v4", "TPU-v5e", "TPU-v5p", "TPU-v6e",
          "M1-Pro", "M1-Max", "M2-Ultra", "M3-Max", "M4-Max", "CPU-8core-DDR5")


def altered(folder: Path, **change: str) -> Path:
    """The L40S row, which lies on line 2 of the new file, with some columns changed."""
    with TABLE.open(encoding="utf-8", newline="") as handle:
        row = next(row for row in csv.DictReader(handle) if row["name"] == "L40S")
    path = folder / "accelerators.csv"
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, row)
        writer.writeheader()
        writer.writerow({**row, **change})
    return path


@pytest.mark.parametrize("name", LADDER)
def test_every_accelerator_of_the_book_is_there_and_plausible(name: str) -> None:
    found = accelerators.find(name)
    assert found.name == name
    assert found.source
    assert found.as_of <= date(2026, 12, 31)
    assert 0.5 * found.memory_gib < found.visible_gib <= found.memory_gib
    bytes_per_flop = found.memory_bytes_per_s / found.flops_per_s["bf16"]
    assert 1 / 700 < bytes_per_flop < 1 / 8  # a slipped decimal point leaves this band
    assert all(found.flops_per_s["bf16"] < found.flops(dtype) for dtype in found.flops_per_s if dtype != "bf16"
               and name != "TPU-v4")


@pytest.mark.parametrize(("asked", "name"), [
    ("h100_sxm", "H100-SXM"), ("h100", "H100-SXM"), ("NVIDIA H100 80GB HBM3", "H100-SXM"), ("RTX 4090", "RTX4090"),
    ("NVIDIA GeForce RTX 4090", "RTX4090"), ("rtxpro6000", "RTXPRO6000"), ("M2_ULTRA", "M2-Ultra"),
    ("Apple M2 Ultra", "M2-Ultra"), ("a100_sxm", "A100-80GB"), ("l40s", "L40S"), ("b200_sxm", "B200"),
    ("Trillium", "TPU-v6e"), ("AMD Instinct MI300X", "MI300X"), ("cpu", "CPU-8core-DDR5"),
])
def test_names_are_found_however_they_are_written(asked: str, name: str) -> None:
    assert accelerators.find(asked).name == name


def test_every_price_of_a_machine_with_accelerators_finds_its_hardware() -> None:
    from workbench.hardware import prices

    named = {row.accelerator for row in prices.machines().values() if row.accelerator != "none"}
    assert {accelerators.find(name).name for name in named} >= {"H100-SXM", "A100-80GB", "L40S", "RTX4090"}


def test_an_unknown_one_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"did you mean .*H200"):
        accelerators.find("H210")


def test_a_format_without_units_is_computed_in_bf16() -> None:
    a100: Accelerator = accelerators.find("a100")
    assert a100.flops("fp8") == a100.flops("bf16")
    assert a100.flops("int8") == 2 * a100.flops("bf16")


def test_a_chip_without_a_link_works_alone() -> None:
    with pytest.raises(UsageError, match="--tp 1"):
        accelerators.find("m2_ultra").link_rate()


@pytest.mark.parametrize(("change", "message"), [
    ({"memory_bytes_per_s": "-1"}, "memory_bytes_per_s: '-1' must be above 0"),
    ({"memory_bytes_per_s": "0"}, "above 0"),
    ({"memory_gib": "nan"}, "memory_gib: 'nan'"),
    ({"bf16_flops_per_s": "1e38"}, "bf16_flops_per_s"),
    ({"bf16_flops_per_s": "fast"}, "is no number"),
    ({"bf16_flops_per_s": ""}, "is no number"),
    ({"tdp_w": "-9999"}, "tdp_w"),
    ({"visible_gib": "49"}, "more than memory_gib"),
    ({"source": ""}, "source"),
    ({"as_of": "soon"}, "YYYY-MM-DD"),
    ({"kind": "abacus"}, "one of gpu"),
    ({"link": ""}, "both or neither"),
])
def test_a_wrong_value_is_one_line_with_file_line_and_column(tmp_path: Path, change: dict[str, str],
                                                              message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        accelerators.read(altered(tmp_path, **change))
    assert str(caught.value).startswith("accelerators.csv:2: ")


def test_the_unchanged_row_is_read(tmp_path: Path) -> None:
    assert accelerators.read(altered(tmp_path))[0] == {"L40S": accelerators.find("L40S")}


@pytest.mark.parametrize(("text", "message"), [
    ("", "empty"), ("name,kind\nL40S", "1 fields where"), ("name\nL40S\n", "column is missing"),
    ("name\n\xff", "UTF-8"), ('name\n"L40S', "CSV"),
])
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=message):
        accelerators.read(path)


def test_doubles_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = altered(tmp_path)
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(UsageError, match=r"accelerators\.csv:3: .*twice"):
        accelerators.read(path)
    with pytest.raises(UsageError, match=r"none\.csv: cannot be read"):
        accelerators.read(tmp_path / "none.csv")
