"""Usage in DuckDB and in a real PostgreSQL: the answers of the pure tracker, and of the ledger."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from usage_oracle import (
    FACTS,
    SLICE_NS,
    SPANS,
    Make,
    a_key_told_with_two_contents_is_refused_and_nothing_is_lost,
    answers_like_the_tracker,
)

from workbench.adapters.usage_store import Fact, UsageStore
from workbench.adapters.usage_store_duckdb import DuckDbUsage
from workbench.adapters.usage_store_postgres import PostgresUsage
from workbench.control.money.billing import Billing
from workbench.control.money.periods import Every
from workbench.control.money.price_book import ANY, PriceBook, Version
from workbench.control.money.rates import Flat
from workbench.control.money.usage import Usage

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)


def in_duckdb(where: str = ":memory:") -> UsageStore:
    duckdb = pytest.importorskip("duckdb", reason="the package duckdb is not installed (pip install duckdb)")
    return DuckDbUsage(duckdb.connect(where, config={"threads": 1}), SLICE_NS)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A connection to a server of the tests' own, on a unix socket; as root it runs as the user postgres."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (str(binaries[-1]) if binaries else None)
    if found is None:
        pytest.skip("postgresql is not installed (Debian: apt-get install postgresql)")
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed (pip install psycopg[binary])")
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="wb-") as folder:
        if user:
            shutil.chown(folder, user)
        data = f"{folder}/data"
        subprocess.run([found, "-D", data, "-U", "tester", "-A", "trust", "-N", "-E", "UTF8", "--locale=C"], user=user,
                       check=True, capture_output=True, cwd=folder)
        server = subprocess.Popen(
            [Path(found).parent / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-F"], user=user,
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    connection = psycopg.connect(host=folder, user="tester", dbname="postgres")
                    break
                except psycopg.OperationalError:
                    assert server.poll() is None, "postgres ended"
                    assert time.monotonic() < deadline, "postgres did not start within 30 s"
                    time.sleep(0.02)
            with connection:
                yield connection
        finally:
            server.terminate()
            server.wait(timeout=30)


@pytest.fixture
def in_postgres(postgres: Any) -> Make:
    def make() -> UsageStore:
        with postgres.transaction():
            postgres.execute("DROP TABLE IF EXISTS usage_facts")
        return PostgresUsage(postgres, SLICE_NS)

    return make


@SHARED
@given(FACTS, st.integers(0, 25), SPANS)
def test_duckdb_answers_as_the_pure_tracker_does(facts: list[Fact], cut: int, span: tuple[int, int]) -> None:
    answers_like_the_tracker(in_duckdb, facts, cut, span)


@SHARED
@given(facts=FACTS, cut=st.integers(0, 25), span=SPANS)
def test_postgres_answers_as_the_pure_tracker_does(
    in_postgres: Make, facts: list[Fact], cut: int, span: tuple[int, int],
) -> None:
    answers_like_the_tracker(in_postgres, facts, cut, span)


def test_duckdb_refuses_a_key_with_two_contents() -> None:
    a_key_told_with_two_contents_is_refused_and_nothing_is_lost(in_duckdb)


def test_postgres_refuses_a_key_with_two_contents(in_postgres: Make) -> None:
    a_key_told_with_two_contents_is_refused_and_nothing_is_lost(in_postgres)


def test_the_store_and_the_ledger_agree_to_the_pico_dollar(tmp_path: Path) -> None:
    """And a file opened again still has it."""
    book = PriceBook([Version(ANY, kind, Flat(599_761)) for kind in ("input", "output")])
    engine, facts = Billing(book, calendar=Every(100)), list[Fact]()
    for i in range(3000):
        usage = Usage(f"{i}", i, f"t{i % 3}", f"m{i % 2}", 11 + i % 7, i % 5, cost_pusd=i * 1013)
        price_pusd = engine.record(i, usage)
        assert price_pusd is not None
        facts.append(Fact(usage, price_pusd))
    in_duckdb(str(tmp_path / "usage.duckdb")).add(facts)
    store = in_duckdb(str(tmp_path / "usage.duckdb"))
    [total] = store.by()
    assert (total.price_pusd, total.cost_pusd) == (-engine.ledger.group("revenue"), engine.ledger.group("cost"))
    for row in store.by("model"):
        assert row.price_pusd == -engine.ledger.balance(f"revenue:{row.model}")
    for row in store.by("tenant"):
        assert row.price_pusd == engine.ledger.balance(f"unbilled:{row.tenant}")
