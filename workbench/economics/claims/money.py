"""Prices: chapters 5.5, 17 and appendix G. Prices are rows of datasets/prices."""

import math

from workbench.economics.claims.found import Found, judged
from workbench.hardware.prices import apis, find, machines

TOK_PER_REQUEST = 1_000
BOOK_TPU_USD_PER_H = 3.30  # the book, G.2: v4-8, one-year commitment


def _usd(name: str) -> float:
    return find(machines(), name, "machine").usd_per_hour


def _off(name: str) -> float:
    row = find(machines(), name, "machine")
    assert row.spot_usd_per_hour is not None  # the rows named here have one
    return 1 - row.spot_usd_per_hour / row.usd_per_hour


def browser_saves_four_fifths() -> Found:
    """Four fifths of the requests leave: GPUs come whole, and those that stay may be the long ones."""
    numbers = {f"saved_frac_of_{n}_gpus": 1 - math.ceil(n * 0.2 - 1e-9) / n for n in (1, 3, 5)}
    long = 4.0  # times as long are the fifth that stays
    numbers["saved_frac_if_the_rest_is_4x_longer"] = 0.8 / (0.8 + 0.2 * long)
    return judged(numbers, holds=numbers["saved_frac_of_1_gpus"] >= 0.78, otherwise="incomplete")


def rental_of_eight() -> Found:
    names = ("vast-8x-h100-sxm", "jarvislabs-8x-h100", "lambda-8x-h100-sxm", "runpod-8x-h100-sxm")
    prices = [_usd(name) for name in names]
    return Found("missing", {"least_usd_per_h": min(prices), "most_usd_per_h": max(prices)})


def tpu_is_cheaper() -> Found:
    """A chip against a card, on demand; they do not do the same work, nor hold the same."""
    numbers = {"v6e_off_frac": 1 - _usd("gcp-tpu-v6e-1") / _usd("lambda-1x-h100-sxm"),
               "v4_8_on_demand_usd_per_h": _usd("gcp-tpu-v4-8"),
               "v4_8_against_book_times": _usd("gcp-tpu-v4-8") / BOOK_TPU_USD_PER_H}
    return judged(numbers, holds=numbers["v6e_off_frac"] >= 0.5)


def high_throughput_is_100_an_hour() -> Found:
    return judged({"requests_per_s": (rate := 100 / 3600)}, holds=rate >= 1)


def worth_it_above_1000_a_day() -> Found:
    """Requests a day at which the book's price of a v4-8 equals an API's for the same tokens."""
    price = find(apis(), "deepinfra-llama-3.1-70b", "API")
    each = TOK_PER_REQUEST * price.usd_per_million_output_tok / 1e6  # input and output cost the same there
    numbers = {"api_usd_per_million": price.usd_per_million_output_tok,
               "requests_per_day": 24 * BOOK_TPU_USD_PER_H / each}
    return judged(numbers, holds=numbers["requests_per_day"] <= 1_500)


def spot_discounts() -> Found:
    numbers = {"v6e_1_frac": _off("gcp-tpu-v6e-1"), "v6e_8_us_east5_frac": _off("gcp-tpu-v6e-8"),
               "v5p_frac": _off("gcp-tpu-v5p-12288")}
    return judged(numbers, holds=min(numbers.values()) >= 0.6 and max(numbers.values()) <= 0.9, otherwise="incomplete")
