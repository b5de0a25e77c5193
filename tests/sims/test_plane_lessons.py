"""What each shipped plane scenario teaches, by changing the lines that its comment names."""

from collections import Counter
from typing import TypeVar

import pytest
from shipped import as_shipped, changed, content, outcomes, play, rows, text_of, ttft_s, without

from sims.plane.run import PlaneResult
from workbench.control.plane.events import Alarm, Charge, Release, Shift, Stop
from workbench.errors import UsageError

T = TypeVar("T")
SECOND = 10**9


def said(found: PlaneResult, kind: type[T]) -> list[tuple[float, T]]:
    """Decisions of a kind, and when, in seconds."""
    assert found.journal is not None
    return [(entry.now_ns / SECOND, one) for entry in found.journal.entries for one in entry.decisions
            if isinstance(one, kind)]


def test_single_backend_past_its_edge_nobody_is_on_time_and_a_bound_gives_most_their_second() -> None:
    over = changed("single_backend", ("rate_per_s = 12.0", "rate_per_s = 24.0"))
    calm, late, bound = as_shipped("single_backend"), play(over), play(over + "\n[control.queue]\nlimit = 16\n")
    assert ttft_s(calm) < 0.2
    assert ttft_s(late) > 3
    assert outcomes(late)["ok"] == 500
    assert ttft_s(bound) < 1.0
    assert 0.05 * 500 < outcomes(bound)["shed"] < 0.25 * 500


def test_noisy_neighbour_a_fair_order_and_a_limit_each_keep_quiet_close_to_alone() -> None:
    text = text_of("noisy_neighbour")
    start, end = text.index('[[workloads]]\ntenant = "noisy"'), text.index("[fleet]")
    alone = ttft_s(play(text[:start] + text[end:]), "quiet")
    both = ttft_s(as_shipped("noisy_neighbour"), "quiet")
    fair = ttft_s(play(without("noisy_neighbour", "control.limits")), "quiet")
    neither = ttft_s(play(without("noisy_neighbour", "control.limits").replace('"wfq"', '"fifo"')), "quiet")
    assert alone < 0.1
    assert both < 2 * alone
    assert fair < 4 * alone
    assert neither > 100 * alone


@pytest.mark.slow
def test_retry_storm_an_unbounded_line_never_recovers_and_a_short_one_does() -> None:
    short = as_shipped("retry_storm")
    endless = play(without("retry_storm", "control.queue"))
    polite = play(changed("retry_storm", ("wait_s = 0.05", "wait_s = 1.0, factor = 2.0, spread_frac = 1.0")))
    meant = sum("~" not in row["request_id"] for row in rows(short))
    assert content(endless, 30) < 0.05 * content(short, 30), "long after the crowd is gone"
    assert content(endless) < 0.2 * meant
    assert content(short) > 0.6 * meant
    assert content(polite) > 0.9 * meant
    assert len(polite.log) < 0.8 * len(short.log)
    calm = play(changed("retry_storm", ("rate_per_s = 60.0", "rate_per_s = 10.0")))
    assert set(outcomes(calm)) == {"ok"}, "without the crowd there is room for all"


@pytest.mark.slow
def test_flash_crowd_one_answer_for_all_who_ask_the_same() -> None:
    found, plain = as_shipped("flash_crowd"), play(without("flash_crowd", "control.cache"))
    bare = play(without("flash_crowd", "control.cache", "control.queue"))
    assert outcomes(found)["ok"] == len(found.log)
    assert found.plane.desk.tally.answered > 0.5 * len(found.log)
    assert ttft_s(found, "usual") < 0.2
    assert outcomes(plain)["shed"] > 0.3 * len(plain.log)
    assert ttft_s(bare, "usual") > 10
    late = [row for row in rows(bare, "usual") if row["sent_ns"] > 35 * SECOND]
    assert sum(row["first_token_ns"] - row["sent_ns"] > 2 * SECOND for row in late) > 0.5 * len(late), "long after it"


def test_price_change_each_request_costs_what_holds_when_it_ends() -> None:
    found = as_shipped("price_change")
    assert found.plane.desk.billing is not None
    by_hand, both = 0, set()
    for row in rows(found):
        after, new_tok = row["end_ns"] >= 30 * SECOND, row["asked_prompt_tok"] - row["cached_tok"]
        price = (new_tok * 150_000 + row["cached_tok"] * (30_000 if after else 150_000)
                 + row["output_tok"] * (1_200_000 if after else 600_000))
        assert row["price_pusd"] == price
        by_hand += price
        both.add((after, row["cached_tok"] > 0))
    assert len(both) == 4, "old and new, cached and not"
    assert by_hand == -found.plane.desk.billing.ledger.group("revenue")
    assert by_hand == sum(one.price_pusd for _, one in said(found, Charge))
    late = changed("price_change", ("until_ns = 30_000_000_000", "until_ns = 30_000_000_001"))
    with pytest.raises(UsageError, match="overlap"):
        play(late)
    again = play(text_of("price_change"))  # closing the books changes them
    assert again.plane.desk.billing is not None
    invoices = {one.tenant: one for one in again.plane.desk.billing.on_time(60 * SECOND)}
    lines = [(line.tok, line.pusd) for line in invoices["acme"].lines if "output" in line.text]
    assert [pusd // tok for tok, pusd in lines] == [600_000, 1_200_000]
    assert sum(tok for tok, _ in lines) == sum(row["output_tok"] for row in rows(again, "acme"))
    assert invoices["blue"].total_cents == 10


def test_cost_overrun_only_a_budget_limits_a_bill() -> None:
    budget = next(line for line in text_of("cost_overrun").splitlines() if 'name = "budget"' in line)
    kept, open_ = as_shipped("cost_overrun"), play(changed("cost_overrun", (budget, "")))
    used = [sum(row["asked_prompt_tok"] + row["output_tok"] for row in rows(found, "agent") if row["outcome"] == "ok")
            for found in (kept, open_)]
    assert used[0] <= 250_000 < 0.5 * used[1]
    assert outcomes(open_)["rejected"] == 0, "the rate limit minds nothing"
    assert outcomes(kept, "shop") == outcomes(open_, "shop")
    bills = [sum(row["price_pusd"] for row in rows(found, "agent")) for found in (kept, open_)]
    assert bills[1] > 2 * bills[0]
    alarms = [(at_s, one.severity) for at_s, one in said(open_, Alarm)]
    spent = sorted((row["end_ns"], row["price_pusd"]) for row in rows(open_, "agent"))
    total, over_s = 0, 0.0
    for end_ns, price in spent:
        total += price
        over_s = end_ns / SECOND if total > 60_000_000_000 and not over_s else over_s
    assert [severity for _, severity in alarms] == ["ticket", "page"]
    assert alarms[0][0] < over_s - 5, "said before it is spent"
    assert over_s <= alarms[1][0] <= over_s + 1


def test_hybrid_devices_take_what_they_can_and_what_may_not_leave_never_does() -> None:
    found = as_shipped("hybrid")
    bare = play(without("hybrid", "control.hybrid"))
    strict = play(changed("hybrid", ("floor_ppm = 0 ", "floor_ppm = 1 ")))
    served = [row for row in rows(found) if row["engine"] != "device"]
    assert {row["engine"] for row in rows(found, "notes")} == {"device"}
    assert outcomes(found)["ok"] == len(found.log)
    assert sorted(row["first_token_ns"] - row["sent_ns"] for row in served)[int(0.95 * len(served))] < 0.3 * SECOND
    for other in (bare, strict):
        assert outcomes(other, "notes") == {"rejected": len(rows(found, "notes"))}
        assert all(row["engine"] != "device" for row in rows(other) if row["outcome"] == "ok")
        assert ttft_s(other, "web") > 4


@pytest.mark.slow
def test_gpu_failure_the_emptiest_replica_is_the_dead_one_unless_a_breaker_says_so() -> None:
    found, blind = as_shipped("gpu_failure"), play(without("gpu_failure", "control.breaker"))
    hasty = play(without("gpu_failure", "control.retries"))
    lost = [row for row in rows(found) if row["outcome"] == "error"]
    assert 0 < len(lost) < 20
    assert all("the first byte is out" in row["error"] for row in lost)
    assert outcomes(blind)["error"] > 10 * len(lost)
    assert sum("budget of retries" in (row["error"] or "") for row in rows(blind)) > 0.8 * outcomes(blind)["error"]
    assert outcomes(hasty)["error"] > len(lost)
    to_dead = [one for at_s, one in said(blind, Release) if 15 < at_s < 20 and one.replica == 1]
    others = [one for at_s, one in said(blind, Release) if 15 < at_s < 20 and one.replica != 1]
    assert len(to_dead) > len(others)
    assert [replica for _, replica, _ in found.starts] == [1]


@pytest.mark.slow
def test_slow_replica_is_seen_by_who_counts_what_is_outstanding() -> None:
    found = as_shipped("slow_replica")
    turns = play(changed("slow_replica", ('"least_outstanding"', '"round_robin"')))

    def late(run: PlaneResult) -> Counter[str]:
        return Counter(row["replica"] for row in rows(run)
                       if row["first_token_ns"] - row["sent_ns"] > 2 * SECOND)

    for run in (found, turns):
        assert outcomes(run) == {"ok": len(run.log)}, "nothing fails: nobody is told"
        assert ttft_s(run, q=0.5) < 0.04, "and half of the requests see nothing"
    assert late(found).total() < 0.005 * len(found.log)
    assert late(turns).total() > 0.1 * len(turns.log)
    assert len(late(turns)) == 1, "all of one replica"
    share = Counter(row["replica"] for row in rows(found))
    assert min(share.values()) < 0.7 * max(share.values())


@pytest.mark.slow
def test_network_partition_nobody_is_answered_twice_whoever_waits_and_whoever_does_not() -> None:
    quick = as_shipped("network_partition")
    patient = play(changed("network_partition", ("dead_after_ns = 4_000_000_000", "dead_after_ns = 60_000_000_000")))
    assert outcomes(patient) == {"ok": len(patient.log)}
    assert ttft_s(patient, q=1.0) > 20
    assert ttft_s(quick, q=1.0) < 6
    assert 0 < outcomes(quick)["error"] < 0.02 * len(quick.log)
    assert quick.plane.desk.tally.ignored > 0, "what came late"
    assert [replica for _, replica, _ in quick.starts] == [2, 3]
    again = [row for row in rows(quick) if row["attempts"] > 1]
    assert again
    assert all(row["outcome"] == "ok" for row in again)
    for found in (quick, patient):
        names = [one.request_id for _, one in said(found, Charge)]
        assert len(set(names)) == len(names)
        assert found.plane.desk.billing is not None
        assert -found.plane.desk.billing.ledger.group("revenue") == sum(row["price_pusd"] for row in rows(found))


@pytest.mark.slow
def test_cold_start_storm_it_is_the_start_that_is_slow_not_the_autoscaler() -> None:
    found = as_shipped("cold_start_storm")
    fast = play(changed("cold_start_storm", ("\ncold_start_s = 25.0", "\ncold_start_s = 3.0")))
    warm = play(changed("cold_start_storm", ("least = 2", "least = 5")))
    patient = play(changed("cold_start_storm", ("limit = 60", "limit = 2000")))
    assert len(found.starts) == 6
    assert max(at_ns for at_ns, _, _ in found.starts) < 30 * SECOND
    assert outcomes(found)["shed"] > 0.1 * len(found.log)
    assert outcomes(fast)["shed"] < outcomes(found)["shed"] / 4
    assert outcomes(warm)["shed"] == 0
    assert sum(warm.replica_ns) > 1.1 * sum(found.replica_ns)
    assert outcomes(patient) == {"ok": len(patient.log)}
    assert ttft_s(patient, q=0.75) > 3


@pytest.mark.slow
def test_spot_preemption_notice_is_what_makes_it_cost_nothing() -> None:
    found = as_shipped("spot_preemption")
    mute = play(changed("spot_preemption", ("at_s = 15.0", "at_s = 35.0"), ("at_s = 25.0", "at_s = 45.0")).replace(
        "notice_s = 20.0", "notice_s = 0.0"))
    assert outcomes(found) == {"ok": len(found.log)}
    assert max(row["attempts"] for row in rows(found)) == 1
    stopped = {one.replica: at_s for at_s, one in said(found, Stop)}
    assert 15 < stopped[2] < 35
    assert 25 < stopped[3] < 45, "nobody is on it when its machine goes"
    lost = [row for row in rows(mute) if row["outcome"] == "error"]
    assert lost
    assert all("the first byte is out" in row["error"] for row in lost)


@pytest.mark.slow
def test_platform_what_is_short_is_short_for_the_right_ones() -> None:
    found, fifo = as_shipped("platform"), play(changed("platform", ('scheduling = "wfq"', 'scheduling = "fifo"')))

    def missed(run: PlaneResult, tier: str, within_s: float) -> float:
        own = [row for row in rows(run) if row["tier"] == tier]
        return sum(row["outcome"] != "ok" or row["first_token_ns"] - row["sent_ns"] > within_s * SECOND
                   for row in own) / len(own)

    assert missed(found, "enterprise", 1) < 0.02
    assert missed(fifo, "enterprise", 1) > 0.2
    assert missed(found, "free", 5) > 0.3
    shifts = [one.act for _, one in said(found, Shift)]
    assert shifts[:3] == ["begin", "widen", "widen"]
    pages = [(at_s, one.what) for at_s, one in said(found, Alarm) if one.severity == "page"]
    assert pages[0][1].startswith("free burns"), "the first who is let down is the first who is seen to be"
    assert 30 < pages[0][0] < 45
    assert {replica for at_ns, replica, _ in found.starts if at_ns > 30 * SECOND} >= {4, 5, 6}
    assert found.plane.desk.tally.answered > 50
    assert max(found.replica_ns) <= found.stop_ns
    assert all(at_s * SECOND <= found.stop_ns for at_s, _ in said(found, Stop)), "a start may end after the run"
    assert outcomes(play(without("platform", "control.breaker", "control.retries")))["error"] > 5 * outcomes(found)[
        "error"]
