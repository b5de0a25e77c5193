"""The chapter's functions on recorded inputs, and on folders where something is missing."""

import json
import shutil
from pathlib import Path

import pytest

from workbench.chapters import capacity
from workbench.errors import UsageError
from workbench.figures.chart import Chart
from workbench.figures.table import Table
from workbench.report.prose import Prose

RECORDED = Path(__file__).parent / "fixtures" / "demo"
SHOWN = (capacity.machine_table, capacity.validation_table, capacity.validation_chart, capacity.profile_table,
         capacity.residual_table, capacity.speed_chart, capacity.candidate_table, capacity.capacity_chart,
         capacity.cost_table, capacity.cost_chart, capacity.gpu_table, capacity.gpu_chart)


def test_every_part_shows_what_was_recorded() -> None:
    data = capacity.load(str(RECORDED))
    for show in SHOWN:
        assert isinstance(show(data), Table | Chart), show.__name__
    table = capacity.validation_table(data)
    assert isinstance(table, Table)
    assert len(table.rows) == 9
    assert "requests/s" in capacity.question(data).text
    assert "inconclusive: this machine is too noisy" in capacity.verdicts(data).text
    assert "outside what its profile measured" in capacity.rejected(data).text


@pytest.mark.parametrize("kept", ["plan.json", "validation.json", "Q4_0/profile.json"])
def test_what_is_not_there_is_said(kept: str, tmp_path: Path) -> None:
    target = tmp_path / kept
    target.parent.mkdir(exist_ok=True)
    shutil.copy(RECORDED / kept, target)
    data = capacity.load(str(tmp_path))
    said = [item.text for item in (show(data) for show in SHOWN) if isinstance(item, Prose)]
    assert said
    assert all("Not in the inputs" in text for text in said)
    assert capacity.answer(data).text
    assert capacity.question(data).text
    capacity.numbers(data)
    capacity.rejected(data)


def test_no_candidate_and_no_api(tmp_path: Path) -> None:
    plan = json.loads((RECORDED / "plan.json").read_text())
    for item in plan["candidates"]:
        item |= {"met": False, "why_not": "unreachable", "trials": []}
        item |= dict.fromkeys(("at_load", "break_even", "knee", "replicas"))
    plan |= {"choice": None, "api": None, "answer": "None of them."}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    data = capacity.load(str(tmp_path))
    assert "nothing to draw" in str(capacity.capacity_chart(data))
    assert "no cost to draw" in str(capacity.cost_chart(data))
    assert "was left out: unreachable" in capacity.rejected(data).text
    assert not [item for item in capacity.numbers(data).items if item.name.startswith("usd")]


def test_a_folder_without_anything_of_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[1]")
    with pytest.raises(UsageError, match="holds no validation"):
        capacity.load(str(tmp_path))
    (tmp_path / "plan.json").write_text('{"kind": "workbench.plan", "schema": 2}')
    with pytest.raises(UsageError, match="schema 2; this version reads 1"):
        capacity.load(str(tmp_path))


def test_what_gpus_would_serve_is_said_with_its_source() -> None:
    data = capacity.load(str(RECORDED))
    table = capacity.gpu_table(data)
    assert isinstance(table, Table)
    assert [row[2] for row in table.rows] == ["1", "2", "4", "8"] * 2
    assert "silicon" in table.caption
    assert "NVLink" in capacity.gpu_answer(data).text
    assert "PCIe (l40s), one copy split over 8 GPUs cannot keep the SLO" in capacity.gpu_answer(data).text
    assert any(item.name == "gpus_rate_rps_8x_h100_sxm" for item in capacity.numbers(data).items)
