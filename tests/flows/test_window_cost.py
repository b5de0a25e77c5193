"""The window experiment: throughput rises with the window, fairness falls, and the figure shows what was found."""

from typing import Any

import pytest
from two_tenants import BASE, make

from workbench.figures.static import render
from workbench.flows.window_cost import cells, chart, sentence, tables, window_cost


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = make(tmp_path_factory.mktemp("window"))
    patient = BASE.replace("deadline_ns = 4_000_000_000, ", "").replace("deadline_ns = 6_000_000_000, ", "")
    path.write_text(patient)  # nobody leaves: all that differs is the order and the batch
    return window_cost(path, ("1", "2", "none"), replications=3)


def means(found: dict[str, Any], order: str, metric: str) -> list[float]:
    return [row["mean"] for row in cells(found, order, metric)]


def test_a_small_window_costs_throughput_and_none_at_all_costs_fairness(found: dict[str, Any]) -> None:
    speed, fair = means(found, "vtc", "joint_output_tok_per_s"), means(found, "vtc", "share_error_frac")
    assert speed[0] < 0.8 * speed[1], "one request at a time is no batch"
    assert fair[2] > 2 * fair[1], "what the replicas hold, no order changes any more"
    plain = means(found, "fifo", "share_error_frac")
    assert fair[0] < 0.5 * plain[0]
    assert fair[2] == pytest.approx(plain[2]), "without a window there is nothing to order"


def test_figure_tables_and_sentence_say_the_same(found: dict[str, Any]) -> None:
    drawn = chart(found)
    assert [panel.series[0].x for panel in drawn.panels] == [("1", "2", "none")] * 4
    assert drawn.panels[1].series[0].y == tuple(means(found, "vtc", "jain_index"))
    assert all(low <= y <= high for low, y, high in zip(
        *(getattr(drawn.panels[0].series[0], key) for key in ("low", "y", "high")), strict=True))
    assert render(drawn).startswith(b"<?xml")
    both, each = tables(found)
    assert [row[:2] for row in both.rows] == [(order, w) for order in ("vtc", "fifo") for w in ("1", "2", "none")]
    assert [row[0] for row in each.rows] == ["1", "2", "none"]
    assert sentence(found).startswith("With vtc, a window of ")
    unknown = {**found, "figures": [{**row, "mean": None} for row in found["figures"]]}
    assert sentence(unknown) == "The tenants never waited at the same time: there is no figure."
