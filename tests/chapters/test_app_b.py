"""Appendix B: what fits and may be used; the profile on the fewest GPUs; published errors as intervals."""

import pytest

from workbench.chapters import app_b, app_b_bits, app_b_speed
from workbench.errors import UsageError
from workbench.figures.table import Table


def names(found: list[app_b.Candidate]) -> set[str]:
    return {one.name for one in found}


def test_what_may_be_used_is_part_of_what_fits() -> None:
    every, free = (app_b.shelf("RTX3060", "Q4_K_M", 4096, 1, words) for words in ("yes, conditions, no", "yes"))
    assert names(every.usable) == names(every.fitting) == names(free.fitting)
    assert names(free.usable) == {"Mistral-7B-v0.1", "Phi-mini-MoE-instruct", "Qwen3-8B"}


def test_more_requests_never_let_more_models_fit() -> None:
    fits = [names(app_b.shelf("RTX4090", "Q4_K_M", 4096, n, "yes").fitting) for n in (1, 8, 64)]
    assert fits[0] > fits[1] > fits[2]


def test_a_context_that_ends_earlier_is_no_fit() -> None:
    found = app_b.shelf("H100-SXM", "fp8", 8192, 1, "yes, conditions")
    assert "Llama-2-7b" not in names(found.fitting)
    assert "Llama-3.1-8B" in names(found.fitting)
    told = {row[0]: row[4] for row in app_b.model_table(found).rows}
    assert told["Llama-2-7b"] == "ends at 4,096"
    assert found.left_out == ("Phi-mini-MoE-instruct",)
    assert "Not in this format: Phi-mini-MoE-instruct." in app_b.model_table(found).caption


def test_a_card_that_holds_none_says_by_how_much() -> None:
    found = app_b.shelf("RTX3060", "bf16", 131_072, 8, "yes")
    with pytest.raises(UsageError, match=r"gpu: RTX3060: none of 16 models in bf16 .* is short of \d"):
        app_b.answer(found, app_b_bits.kept("bf16"))
    with pytest.raises(UsageError, match="use no; memory holds some, of too short a context or another licence"):
        app_b.answer(app_b.shelf("RTX4090", "Q4_K_M", 4096, 1, "no"), app_b_bits.kept("Q4_K_M"))
    with pytest.raises(UsageError, match="commercial: 'perhaps' is unknown"):
        app_b.shelf("RTX3060", "bf16", 4096, 1, "perhaps")


def test_each_card_has_the_profile_on_the_fewest_gpus() -> None:
    found = app_b_speed.profiles()
    assert {gpu: one.subject.gpus for gpu, one in found["Llama-3.1-70B"].items()} == {
        "b200_sxm": 1, "h100_sxm": 2, "h200_sxm": 1, "l40s": 2}
    assert next(iter(found)) == "Llama-3.1-8B"
    one = found["Qwen3-32B"]["h100_sxm"]
    assert app_b_speed.speed_of(one, 64) > app_b_speed.speed_of(one, 1)


def test_published_errors_become_intervals_and_unknown_formats_are_said() -> None:
    known = app_b_bits.kept("q4_k_m").imported
    assert known is not None
    assert known.high - known.mean == pytest.approx(1.96 * 0.000238)
    assert "No published divergence of awq" in app_b_bits.kept("awq").said()
    assert app_b_bits.kept("awq").results() == []


def test_every_licence_is_shown_with_its_source() -> None:
    table = app_b.licence_table()
    assert isinstance(table, Table)
    assert all(row[-1] for row in table.rows)
