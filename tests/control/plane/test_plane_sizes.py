"""Facts of absurd sizes: refused in one line that names the key, before anything of that size is made."""

from typing import Any

import pytest

from workbench.control.money.periods import DAY_NS
from workbench.control.plane.build import plane_of
from workbench.flows import plane_books

MANY = 10**18


@pytest.mark.parametrize(("facts", "says"), [
    ({"replicas": MANY}, "control.replicas: 10+ is more than the 100000"),
    ({"window": MANY}, "control.window: 10+ is more than the 1000000000"),
    ({"custom": ["a"]}, r"control.custom: \['a'\] is no table"),
    ({"cluster": {"nodes": [1]}}, r"control.cluster: nodes \[1\]: must be a table of nodes"),
    ({"cluster": {"nodes": {"a": MANY}}}, "control.cluster.nodes.a 10+: a node has at most 10000 GPUs"),
    ({"breaker": {"window": MANY}}, "control.breaker: .* asks for more than memory holds"),
    ({"billing": {"calendar": {"every_ns": 1}}}, "control.billing.calendar.every_ns: 1 is less than 1000000000"),
    ({"billing": {"utc_ns": 10**30}}, "control.billing.utc_ns: 10+ is later than the year 2199"),
])
def test_absurd_sizes_are_refused(facts: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"^{says}") as refused:
        plane_of(facts)
    assert "\n" not in str(refused.value)


def test_a_run_has_no_invoice_for_a_period_that_never_came() -> None:
    """A plan from day 95 on, a run of one day, periods of ten: nobody owes anything yet."""
    plane = plane_of({"billing": {
        "calendar": {"days": 10}, "plans": {"pro": {"fee_pusd": 10**13}},
        "subscriptions": [{"tenant": "later", "plan": "pro", "from_ns": 95 * DAY_NS},
                          {"tenant": "now", "plan": "pro", "from_ns": 0}]}})
    assert plane.desk.billing is not None
    issued = plane_books.issued(plane.desk.billing, DAY_NS)
    assert [(one.tenant, one.period.end_ns) for one in issued] == [("now", 10 * DAY_NS)]


def test_names_in_an_invoice_stay_within_their_line() -> None:
    plane = plane_of({"billing": {
        "calendar": {"days": 10}, "plans": {"pro": {"fee_pusd": 10**13}},
        "subscriptions": [{"tenant": "evil\n  total   USD 0.00\x1b[2J\u202e", "plan": "pro"}]}})
    assert plane.desk.billing is not None
    issued = plane_books.issued(plane.desk.billing, DAY_NS)
    text = plane_books.as_text(issued)
    assert len(text.splitlines()) == len(issued[0].lines) + 3
    assert "evil\\n  total   USD 0.00\\x1b[2J\\u202e" in text
