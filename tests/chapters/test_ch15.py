"""Chapter 15: pipelines, derived from one stage's profile."""

import pytest

from workbench.chapters import ch15
from workbench.errors import UsageError


def test_one_stage_is_the_profile_itself() -> None:
    profile = ch15.profiles_of("h100_sxm")[2]
    one = ch15.way(profile, 1, 64)
    assert one.tok_per_s == pytest.approx(64 / one.token_s)
    assert one.name == "TP 2"


@pytest.mark.parametrize("gpu", ch15.CARDS)
def test_a_pipeline_never_makes_one_request_faster(gpu: str) -> None:
    """It passes every layer all the same, and the links besides."""
    for profile in ch15.profiles_of(gpu).values():
        alone = [ch15.way(profile, pp, 1) for pp in (1, 2, 4)]
        assert [way.token_s for way in alone] == sorted(way.token_s for way in alone)
        assert all(way.tok_per_s == pytest.approx(1 / way.token_s) for way in alone)


@pytest.mark.parametrize("gpu", ch15.CARDS)
def test_more_stages_never_answer_fewer_together(gpu: str) -> None:
    for profile in ch15.profiles_of(gpu).values():
        all_tok_per_s = [ch15.way(profile, pp, 64).tok_per_s for pp in (1, 2, 4)]
        assert all_tok_per_s == sorted(all_tok_per_s)


def test_over_pcie_the_pipeline_wins_and_over_nvlink_the_tensors() -> None:
    wide, deep = ({gpu: ch15.way(ch15.profiles_of(gpu)[tp], 8 // tp, 64) for gpu in ch15.CARDS} for tp in (8, 2))
    assert deep["l40s"].tok_per_s > wide["l40s"].tok_per_s
    assert deep["h100_sxm"].tok_per_s < wide["h100_sxm"].tok_per_s


@pytest.mark.parametrize("gpus", [0, 3, 16])
def test_gpus_that_do_not_divide_are_refused(gpus: int) -> None:
    with pytest.raises(UsageError, match=f"gpus: {gpus}: must be one of 1, 2, 4, 8"):
        ch15.pipeline_table(gpus)
