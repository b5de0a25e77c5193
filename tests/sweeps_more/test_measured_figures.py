"""The figures that ship are those of the sweep beside them, whole and in their declared columns."""

import pytest

from workbench.config import load
from workbench.flows.sweeps.figures_row import columns_table, read
from workbench.flows.sweeps.points import points
from workbench.flows.sweeps.spec import SweepSpec
from workbench.paths import datasets

MEASURED = datasets() / "measured"


def test_the_figures_that_ship_are_those_of_the_sweep_beside_them() -> None:
    rows = read(MEASURED / "engines_cpu.csv")
    asked = points(load(SweepSpec, MEASURED / "engines_cpu.toml"))
    assert len(rows) == len({(p.setting.key, p.workload, p.load) for p in asked})
    assert {(row.engine, row.model, row.workload, row.concurrency) for row in rows} == {
        (p.setting.engine, p.setting.model, p.workload, p.concurrency) for p in asked}
    by = {(row.engine, row.model, row.quant, row.dtype, row.concurrency): row for row in rows}
    assert len(by) == len(rows)
    for (*setting, _), row in by.items():
        alone = by[(*setting, 1)]  # type: ignore[index]
        assert row.output_tok_per_s is not None
        assert alone.output_tok_per_s is not None
        assert row.batching_gain == pytest.approx(row.output_tok_per_s / alone.output_tok_per_s, rel=1e-4)
        assert row.repeats >= 3
        assert row.output_tok == 32
        assert row.pss_bytes is not None
        assert row.cpu_s_per_output_tok is not None
    readme = (MEASURED / "README.md").read_text(encoding="utf-8")
    assert columns_table() in readme
