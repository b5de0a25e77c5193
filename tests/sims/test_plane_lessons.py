"""What each shipped plane scenario teaches, by changing the lines that its comment names."""

from shipped import as_shipped, changed, content, outcomes, play, rows, text_of, ttft_s, without

from workbench.control.plane.events import Charge

SECOND = 10**9


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
    fair = ttft_s(play(without("noisy_neighbour", "[control.limits]")), "quiet")
    neither = ttft_s(play(without("noisy_neighbour", "[control.limits]").replace('"wfq"', '"fifo"')), "quiet")
    assert alone < 0.1
    assert both < 2 * alone
    assert fair < 4 * alone
    assert neither > 100 * alone


def test_retry_storm_an_unbounded_line_never_recovers_and_a_short_one_does() -> None:
    short = as_shipped("retry_storm")
    endless = play(without("retry_storm", "[control.queue]"))
    polite = play(changed("retry_storm", ("wait_s = 0.05", "wait_s = 1.0, factor = 2.0, spread_frac = 1.0")))
    meant = sum("~" not in row["request_id"] for row in rows(short))
    assert content(endless, 30) < 0.05 * content(short, 30), "long after the crowd is gone"
    assert content(endless) < 0.2 * meant
    assert content(short) > 0.6 * meant
    assert content(polite) > 0.9 * meant
    assert len(polite.log) < 0.8 * len(short.log)
    calm = play(changed("retry_storm", ("rate_per_s = 60.0", "rate_per_s = 10.0")))
    assert set(outcomes(calm)) == {"ok"}, "without the crowd there is room for all"


def test_flash_crowd_one_answer_for_all_who_ask_the_same() -> None:
    found, plain = as_shipped("flash_crowd"), play(without("flash_crowd", "[control.cache]"))
    bare = play(without("flash_crowd", "[control.cache]", "[control.queue]"))
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
    assert found.journal is not None
    charged = [one for entry in found.journal.entries for one in entry.decisions if isinstance(one, Charge)]
    assert by_hand == sum(one.price_pusd for one in charged)


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
