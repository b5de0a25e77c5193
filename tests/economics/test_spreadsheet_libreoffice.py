"""LibreOffice recomputes the workbook: every month of every option and the summary equal Python's."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from openpyxl import load_workbook

from workbench.economics.sheet_columns import COLUMNS
from workbench.flows.business import business_file
from workbench.paths import data

OFFICE = shutil.which("soffice")


@pytest.mark.slow
@pytest.mark.skipif(OFFICE is None, reason="LibreOffice is not installed (apt-get install libreoffice-calc)")
def test_libreoffice_computes_what_python_does(tmp_path: Path) -> None:
    assert OFFICE is not None
    found = business_file(data("examples") / "business.toml", tmp_path)
    # converting from a workbook without cached values makes LibreOffice compute every cell
    subprocess.run(
        [OFFICE, f"-env:UserInstallation=file://{tmp_path}/profile", "--headless", "--convert-to", "xlsx:Calc MS Excel "
         "2007 XML", "--outdir", str(tmp_path / "computed"), str(tmp_path / "business.xlsx")],
        check=True, capture_output=True, timeout=300)
    book = load_workbook(tmp_path / "computed" / "business.xlsx", data_only=True)
    assert json.loads((tmp_path / "business.json").read_text())["options"] == found["options"]
    cells = 0
    for number, option in enumerate(found["options"]):
        sheet = book[book.sheetnames[2 + number]]
        for row, line in enumerate(option["months"], start=2):
            for place, column in enumerate(COLUMNS, start=1):
                assert sheet.cell(row, place).value == pytest.approx(line[column.key], rel=1e-9, abs=1e-9), (
                    option["name"], column.key, row)
                cells += 1
        done, summary = option["outcome"], book["Summary"]
        asked = [done["npv_usd"], done["cash_usd"], done["invested_usd"], done["roi_frac"], done["gross_margin_frac"]]
        assert summary.cell(number + 2, 1).value == option["name"]
        for place, value in enumerate(asked, start=2):
            assert summary.cell(number + 2, place).value == pytest.approx(value, rel=1e-9)
    assert cells == 5 * 36 * len(COLUMNS)
