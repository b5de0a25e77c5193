"""Usage in ClickHouse: its engine in process (chdb), the client that also speaks to a server."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from usage_oracle import (
    FACTS,
    SLICE_NS,
    SPANS,
    a_key_told_with_two_contents_is_refused_and_nothing_is_lost,
    answers_like_the_tracker,
)

from workbench.adapters.usage_store import COLUMNS, Fact, UsageStore
from workbench.adapters.usage_store_clickhouse import ClickHouseUsage
from workbench.control.money.usage import Usage

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)


@pytest.fixture(scope="module")
def client() -> Any:
    pytest.importorskip("chdb", reason="the package chdb is not installed (pip install chdb, 530 MB)")
    connect = pytest.importorskip("clickhouse_connect", reason="pip install clickhouse-connect")
    return connect.get_client(interface="chdb")


def fresh(client: Any) -> UsageStore:
    client.command("DROP TABLE IF EXISTS usage_facts")
    return ClickHouseUsage(client, SLICE_NS)


@SHARED
@given(facts=FACTS, cut=st.integers(0, 25), span=SPANS)
def test_clickhouse_answers_as_the_pure_tracker_does(
    client: Any, facts: list[Fact], cut: int, span: tuple[int, int],
) -> None:
    answers_like_the_tracker(lambda: fresh(client), facts, cut, span)


def test_clickhouse_refuses_a_key_with_two_contents(client: Any) -> None:
    a_key_told_with_two_contents_is_refused_and_nothing_is_lost(lambda: fresh(client))


def test_clickhouse_counts_once_what_two_writers_inserted_and_does_not_wrap(client: Any) -> None:
    """Both traps are there: a plain sum of the table wraps, and counts twice."""
    store = fresh(client)
    fact = Fact(Usage("k", 5, "t", "m", 3, 2), 2**62)
    more = [Fact(fact.usage._replace(key=f"k{i}"), 2**62) for i in range(2)]
    store.add([fact, *more])
    client.insert("usage_facts", [fact.columns], column_names=COLUMNS)
    assert client.query("SELECT count(*), sum(price_pusd) FROM usage_facts").result_rows == [(4, 0)]
    assert [(row.requests, row.price_pusd) for row in store.by()] == [(3, 3 * 2**62)]
