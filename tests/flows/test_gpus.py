"""What GPUs would serve: the best use of so many, found by simulation on the shipped profiles."""

import pytest

from workbench.flows import gpus


def test_the_best_use_of_the_gpus_is_at_least_any_single_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gpus.WORKLOAD, "requests", 60)
    monkeypatch.setitem(gpus.WORKLOAD, "warmup_requests", 10)
    card = gpus.Card("h100_sxm", "NVLink", {1: "lambda-1x-h100-sxm", 8: "lambda-8x-h100-sxm"})
    done: list[int] = []
    found = gpus.gpus((card,), on_profile=done.append)
    assert done == [1, 2, 3, 4] == list(range(1, gpus.count_profiles((card,)) + 1))
    carried = {item["tp"]: item["carries"]["rate_rps"] for item in found["splits"] if item["carries"]}
    rows = {row["gpus"]: row for row in found["rows"]}
    for n, row in rows.items():
        assert row["rate_rps"] >= max(rate * (n // tp) for tp, rate in carried.items() if tp <= n) - 1e-9
        assert row["copies"] * row["tp"] == n
    assert rows[8]["machine"] == "lambda-8x-h100-sxm"
    assert rows[4]["machine"] == "4 x lambda-1x-h100-sxm"  # no such row given: multiplied, and said


def test_only_profiles_of_the_card_model_and_quantisation() -> None:
    found = gpus.shipped("l40s")
    assert list(found) == [1, 2, 4, 8]
    assert {profile.subject.quant for profile in found.values()} == {gpus.QUANT}
    assert gpus.shipped("no-such-gpu") == {}
