"""Several tenants in one workload: by share, and nothing else moves."""

import pytest

from workbench.config import validate
from workbench.errors import UsageError
from workbench.workload.draw import draw
from workbench.workload.spec import WorkloadSpec

MIX = [{"tenant": "a", "tier": "pro", "share": 3, "priority": -1}, {"tenant": "b", "tier": "free", "share": 7}]


def spec(**more: object) -> WorkloadSpec:
    return validate(WorkloadSpec, {
        "requests": 2000, "arrivals": {"kind": "poisson", "rate_per_s": 1.0},
        "prompt_tok": {"kind": "lognormal", "mean_tok": 300, "sigma": 1.0, "max_tok": 2000},
        "output_tok": {"kind": "fixed", "tok": 8}, **more,
    }, "test")


def test_shares_are_met_and_times_and_lengths_stay() -> None:
    alone, mixed = draw(spec(), 3), draw(spec(who=MIX), 3)
    assert [(p.intended_ns, p.asked_prompt_tok) for p in alone] == [(p.intended_ns, p.asked_prompt_tok) for p in mixed]
    pro = [p for p in mixed if p.tier == "pro"]
    assert {(p.tenant, p.priority) for p in pro} == {("a", -1)}
    assert abs(len(pro) / 2000 - 0.3) < 4 * (0.3 * 0.7 / 2000) ** 0.5  # four standard errors


def test_a_longer_run_begins_as_the_shorter() -> None:
    assert draw(spec(who=MIX, requests=50), 3) == draw(spec(who=MIX), 3)[:50]


@pytest.mark.parametrize(("more", "said"), [
    ({"who": MIX, "tier": "pro"}, "give who, or tenant and tier"),
    ({"who": [MIX[0], MIX[0]]}, "twice"),
    ({"who": [{"share": 0}]}, "who"),
])
def test_mistakes_are_one_line(more: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said) as error:
        spec(**more)
    assert "\n" not in str(error.value)
