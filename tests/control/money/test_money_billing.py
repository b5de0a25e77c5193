"""From usage to invoices: nothing lost, nothing twice, and the same bill however usage is split."""

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.money.amounts import PUSD_PER_CENT, PUSD_PER_USD, to_cents
from workbench.control.money.billing import Billing
from workbench.control.money.credits import Grant
from workbench.control.money.errors import ClockWentBack, Conflict, NoPrice, Overlap, PeriodClosed
from workbench.control.money.invoice import CreditNote, Invoice
from workbench.control.money.periods import Every, Period
from workbench.control.money.plans import Plan
from workbench.control.money.price_book import ANY, PriceBook, Version
from workbench.control.money.rates import Flat, Graduated, Package, Rate, Tier, Volume
from workbench.control.money.usage import Usage

MONTH = 1000
TIERS = (Tier(50, 700_000_000), Tier(90, 300_000_000), Tier(None, 100_000_003))
RATES: dict[str, Rate] = {"flat": Flat(333_333_333), "graduated": Graduated(TIERS), "volume": Volume(TIERS),
                          "package": Package(7, 12_345)}
PLANS = {"pro": Plan(20 * PUSD_PER_USD + 1), "team": Plan(50 * PUSD_PER_USD, 30 * PUSD_PER_USD + 7)}


def billing(rate: Rate = RATES["flat"]) -> Billing:
    book = PriceBook([Version(ANY, "input", rate), Version(ANY, "cached", Flat(9)), Version(ANY, "output", rate)])
    return Billing(book, calendar=Every(MONTH), plans=PLANS)


def used(key: str, at_ns: int = 0, tok: int = 10, tenant: str = "t", cached_tok: int = 0,
         cost_pusd: int = 0) -> Usage:
    return Usage(key, at_ns, tenant, "m", tok, tok // 2, cached_tok, cost_pusd)


def test_100_000_requests_worth_59_976_usd_do_not_bill_0() -> None:
    """Each costs 0.0006 USD, which rounds to nothing; their sum is rounded once."""
    book = PriceBook([Version("m", kind, Flat(599_760)) for kind in ("input", "output")])
    engine = Billing(book, calendar=Every(MONTH))
    for i in range(100_000):
        assert engine.record(0, Usage(str(i), 0, "t", "m", 900, 100)) == 599_760_000
    [invoice] = engine.on_time(MONTH)
    assert invoice.total_pusd == 59_976 * PUSD_PER_USD // 1000
    assert invoice.total_cents == 5998
    assert engine.ledger.balance("rounding") == -4 * PUSD_PER_CENT // 10


@pytest.mark.parametrize("kind", RATES)
@given(total=st.integers(0, 200), cuts=st.lists(st.integers(0, 200), max_size=8), order=st.randoms())
def test_the_bill_is_the_same_under_any_split_of_usage_and_in_any_order(
    kind: str, total: int, cuts: list[int], order: Random,
) -> None:
    edges = sorted([0, *(min(cut, total) for cut in cuts), total])
    parts = [end - start for start, end in pairwise(edges)]
    order.shuffle(parts)
    engine = billing(RATES[kind])
    prices = [engine.record(i, Usage(str(i), i, "t", "m", part, 0)) for i, part in enumerate(parts)]
    assert sum(one for one in prices if one is not None) == RATES[kind].total_pusd(total)
    assert engine.on_time(MONTH)[0].total_pusd == RATES[kind].total_pusd(total)


STEPS = st.lists(st.tuples(
    st.integers(0, 600), st.sampled_from(["use", "use", "use", "again", "plan", "grant", "price", "close", "close"]),
    st.sampled_from("ab"), st.integers(0, 60), st.integers(0, 1500)), min_size=15, max_size=40)


@given(STEPS, st.sampled_from(sorted(RATES)))
def test_money_is_conserved_at_every_event_and_all_of_it_is_billed(
    steps: list[tuple[int, str, str, int, int]], kind: str,
) -> None:
    """Late usage, plans changed in mid-month, prices too, credits, minimums: against sums kept beside."""
    engine, now_ns, told = billing(RATES[kind]), 0, list[Usage]()
    priced, issued, costs = defaultdict[str, int](int), list[Invoice](), 0
    for i, (gap, what, tenant, size, back) in enumerate(steps):
        now_ns += gap
        if what == "use":
            usage = used(f"{i}", max(0, now_ns - back), size, tenant, cached_tok=size // 3, cost_pusd=size * 7)
            told.append(usage)
            costs += usage.cost_pusd
            priced[tenant] += engine.record(now_ns, usage) or 0
        elif what == "again" and told:
            assert engine.record(now_ns, told[size % len(told)]) is None
        elif what == "plan":
            engine.subscribe(now_ns, tenant, ("", "pro", "team")[size % 3], now_ns + back)
        elif what == "grant":
            engine.grant(now_ns, Grant(f"{i}", tenant, 1 + size * PUSD_PER_USD, now_ns, now_ns + 1 + back))
        elif what == "price":
            at = engine.book.find("pro", "m", "output", now_ns)[0]
            if at is None or not at.plan:
                engine.add_price(now_ns, Version("m", "output", Flat(size * 10**7), now_ns, now_ns + 1, "pro"))
        elif what == "close":
            issued += engine.on_time(now_ns)
        for who in "ab":
            shown = sum(line.pusd for one in issued if one.tenant == who for line in one.lines
                        if line.what in ("usage", "adjustment"))
            assert engine.ledger.balance(f"unbilled:{who}") == priced[who] - shown
            assert -engine.ledger.balance(f"credit:{who}") == engine.credits.left(who)
        assert sum(engine.ledger.balances().values()) == 0
        assert engine.ledger.group("cost") == costs == -engine.ledger.balance("fleet")
    issued += engine.on_time(now_ns + 3 * MONTH)
    for one in issued:
        assert sum(line.cents for line in one.lines) == one.total_cents == to_cents(one.total_pusd) >= 0
    assert engine.ledger.group("unbilled") == 0
    assert engine.ledger.group("receivable") == PUSD_PER_CENT * sum(one.total_cents for one in issued)
    tok = [line.tok for one in issued for line in one.lines if line.what in ("usage", "adjustment")]
    assert sum(tok) == sum(usage.prompt_tok + usage.output_tok for usage in told)


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(0, 30), st.booleans()), max_size=12))
def test_late_usage_pays_in_all_what_it_would_have_paid_in_time(uses: list[tuple[int, int, bool]]) -> None:
    """Minimum commitment included: what was paid as minimum is not paid again as usage."""
    intime, late = billing(RATES["graduated"]), billing(RATES["graduated"])
    for engine in (intime, late):
        engine.subscribe(0, "t", "team")
        engine.subscribe(0, "t", "", MONTH)
    for i, (at_ns, tok, is_late) in enumerate(sorted(uses)):
        intime.record(at_ns, used(f"{i}", at_ns, tok))
        if not is_late:
            late.record(at_ns, used(f"{i}", at_ns, tok))
    late.on_time(MONTH)
    for i, (at_ns, tok, is_late) in enumerate(sorted(uses)):
        if is_late:
            late.record(MONTH + i, used(f"{i}", at_ns, tok))
    for engine in (intime, late):
        engine.on_time(2 * MONTH)
    bills = [sum(one.total_pusd for one in engine.invoices.values()) for engine in (intime, late)]
    assert bills[0] == bills[1]
    assert {line.what for line in late.invoices["INV-000002"].lines} <= {"adjustment", "minimum"}


@given(st.lists(st.integers(0, MONTH), max_size=6))
def test_a_fee_is_the_same_however_often_one_subscribes_again(times: list[int]) -> None:
    engine = billing()
    for at_ns in sorted([0, *times]):
        engine.subscribe(at_ns, "t", "team")
    first = engine.on_time(MONTH)[0]
    assert sum(line.pusd for line in first.lines if line.what == "fee") == PLANS["team"].fee_pusd
    assert sum(line.pusd for line in first.lines if line.what == "minimum") == PLANS["team"].minimum_pusd


def test_a_plan_changed_in_mid_month_is_paid_by_the_day_and_prices_change_at_their_time() -> None:
    engine = billing()
    engine.add_price(0, Version(ANY, "output", Flat(1_000_000), 0, 600, "pro"))
    engine.subscribe(0, "t", "pro")
    assert engine.record(599, used("a", 599)) == 10 * 333_333_333 + 5 * 1_000_000
    assert engine.record(600, used("b", 600)) == 15 * 333_333_333  # the plan's price has ended
    engine.subscribe(700, "t", "team", 750)
    [invoice] = engine.on_time(MONTH)
    fees = {line.text: line.pusd for line in invoice.lines if line.what == "fee"}
    assert fees == {
        "pro, 0 s to 0.00000075 s": (20 * PUSD_PER_USD + 1) * 3 // 4,
        "team, 0.00000075 s to 0.000001 s": 50 * PUSD_PER_USD // 4}
    [missing] = [line.pusd for line in invoice.lines if line.what == "minimum"]
    assert missing == (30 * PUSD_PER_USD + 7) - (30 * PUSD_PER_USD + 7) * 3 // 4 - 25 * 333_333_333 - 5_000_000
    assert "team, 0.00000075 s to 0.000001 s" in invoice.text()


def test_a_new_price_holds_from_its_time_on_for_those_already_served() -> None:
    engine = billing(Flat(3))
    prices = [engine.record(0, Usage("a", 0, "t", "m", 0, 10))]
    engine.add_price(1, Version("m", "output", Flat(7), 5))  # nearer than the one of any model
    prices += [engine.record(5, Usage(f"{at_ns}", at_ns, "t", "m", 0, 10)) for at_ns in (4, 5)]
    assert prices == [30, 30, 70]


def test_credits_are_spent_earliest_expiry_first_and_lapse() -> None:
    engine = billing(Flat(10**10))  # a cent a token
    engine.grant(0, Grant("long", "t", 8 * PUSD_PER_CENT))
    engine.grant(0, Grant("short", "t", 20 * PUSD_PER_CENT, 0, 500))
    engine.grant(0, Grant("short", "t", 20 * PUSD_PER_CENT, 0, 500))  # told again
    engine.record(0, used("a", 0, 10))
    first = engine.on_time(MONTH)[0]
    assert (first.total_cents, engine.credits.left("t")) == (0, 8 * PUSD_PER_CENT)
    assert engine.ledger.balance("expired") == -5 * PUSD_PER_CENT
    engine.record(MONTH, used("b", MONTH, 10))
    assert engine.on_time(2 * MONTH)[0].total_cents == 15 - 8
    with pytest.raises(Conflict, match="credit 'long': granted before"):
        engine.grant(2 * MONTH, Grant("long", "t", 9))


def test_a_negative_total_becomes_a_credit() -> None:
    """Late usage can lift a month into a cheaper volume tier."""
    engine = billing(Volume((Tier(50, 10**12), Tier(None, 10**10))))
    engine.record(0, Usage("a", 0, "t", "m", 50, 0))
    engine.on_time(MONTH)
    assert engine.record(MONTH, Usage("b", 0, "t", "m", 10, 0)) == 60 * 10**10 - 50 * 10**12
    [invoice] = engine.on_time(2 * MONTH)
    assert invoice.total_cents == 0
    assert engine.credits.left("t") == 50 * 10**12 - 60 * 10**10 == -engine.ledger.balance("credit:t")


def test_a_closed_period_is_refused_and_the_books_do_not_move() -> None:
    engine = billing()
    engine.record(0, used("a"))
    engine.close(MONTH, "t", Period(0, MONTH))
    before = engine.ledger.balances(), len(engine.invoices)
    for period, error, says in (
        (Period(0, MONTH), PeriodClosed, r"tenants\.t: period \[0, 1000\) is closed; what is late goes to"),
        (Period(2 * MONTH, 3 * MONTH), ValueError, "close the one from 1000 first"),
        (Period(MONTH, 2 * MONTH), ValueError, "is not over at 1000"),
        (Period(0, MONTH + 1), ValueError, "is not one of the calendar"),
    ):
        with pytest.raises(error, match=says):
            engine.close(MONTH, "t", period)
    assert (engine.ledger.balances(), len(engine.invoices)) == before


@pytest.mark.parametrize(("attempt", "error", "says"), [
    (lambda e: e.record(5, used("a", tok=11)), Conflict, "usage 'a': recorded before as"),
    (lambda e: e.record(4, used("b")), ClockWentBack, "the clock went back from 5 to 4 ns"),
    (lambda e: e.record(5, used("b", 6)), ValueError, "usage 'b': happens at 6 ns, after now, 5 ns"),
    (lambda e: e.record(5, used("b", tok=-2)), ValueError, "none is negative"),
    (lambda e: e.record(5, used("b", cached_tok=11)), ValueError, "cached is at most the prompt"),
    (lambda e: e.record(5, used("b")._replace(cost_pusd=0.5)),  # type: ignore[arg-type]
     ValueError, "are integers"),
    (lambda e: e.subscribe(5, "t", "pro", 4), ValueError, "before now, 5 ns; what is past is priced already"),
    (lambda e: e.subscribe(5, "t", "por"), ValueError, "did you mean 'pro'"),
    (lambda e: e.add_price(5, Version(ANY, "input", Flat(1), 6)), Overlap, r"price \* input \[6, \) overlaps"),
    (lambda e: e.add_price(5, Version("m", "input", Flat(1), 4)), ValueError, "before now"),
    (lambda e: e.grant(5, Grant("g", "t", 0)), ValueError, "credit 'g': pusd: 0 is less than 1"),
    (lambda e: e.credit_note(5, CreditNote("n", "INV-9", 1, "")), ValueError, "invoice 'INV-9' is unknown"),
])
def test_what_is_refused_changes_nothing(
    attempt: Callable[[Billing], object], error: type[ValueError], says: str,
) -> None:
    engine = billing()
    engine.record(5, used("a"))
    before = engine.ledger.balances(), len(engine.ledger), engine.next_period("t")
    with pytest.raises(error, match=says) as raised:
        attempt(engine)
    assert "\n" not in str(raised.value)
    assert (engine.ledger.balances(), len(engine.ledger), engine.next_period("t")) == before
    assert engine.record(5, used("z")) == 15 * 333_333_333  # goes on, at the same price


def test_tokens_without_a_price_are_refused_and_can_come_again() -> None:
    engine = Billing(PriceBook([Version("m", "input", Flat(5), 10)]), calendar=Every(MONTH))
    with pytest.raises(NoPrice, match="no price for input tokens of model 'm' at 9 ns"):
        engine.record(9, used("a", 9))
    with pytest.raises(NoPrice, match="no price for output tokens of model 'm' at 10 ns"):
        engine.record(10, used("a", 10))
    engine.add_price(11, Version("m", "output", Flat(7), 11))
    assert engine.record(11, used("a", 11, cached_tok=4)) == 10 * 5 + 5 * 7  # cached: no price of its own


def test_credit_notes_take_back_at_most_the_invoice() -> None:
    engine = billing(Flat(10**10))
    engine.record(0, used("a"))
    [invoice] = engine.on_time(MONTH)
    note = CreditNote("n", invoice.number, 10, "slow")
    assert engine.credit_note(MONTH, note) is True
    assert engine.credit_note(MONTH, note) is False
    with pytest.raises(Conflict, match="credit note 'n': issued before"):
        engine.credit_note(MONTH, note._replace(cents=9))
    with pytest.raises(ValueError, match=r"0\.06 USD is more than the 0\.05 left of INV-000001"):
        engine.credit_note(MONTH, note._replace(key="o", cents=6))
    engine.credit_note(MONTH, CreditNote("p", invoice.number, 5, "nobody pays", "bad_debt"))
    assert engine.owed_cents(invoice.number) == 0
    assert engine.ledger.balance("receivable:t") == 0
    assert (engine.ledger.balance("credited"), engine.ledger.balance("bad_debt")) == (10**11, 5 * 10**10)
