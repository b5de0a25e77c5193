"""Price tables: what ships is sound; sentinels, strangers and doubles are refused in one line."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from workbench.errors import UsageError
from workbench.hardware import prices

HEADER = (
    "name,provider,instance_type,accelerator,accelerator_n,vram_gib_each,vcpu_n,memory_gib,region,tier,currency,"
    "usd_per_hour,spot_usd_per_hour,as_of,as_of_kind,source\n"
)


def table(folder: Path, *, price: str = "1.5", spot: str = "", currency: str = "USD", source: str = "page") -> Path:
    path = folder / "machines.csv"
    row = f"m,p,t,none,0,,2,8,r,on_demand,{currency},{price},{spot},2026-01-31,published,{source}\n"
    path.write_text(HEADER + row, encoding="utf-8")
    return path


def test_the_shipped_tables_are_sound_and_sourced() -> None:
    machines, apis = prices.machines(), prices.apis()
    assert len(machines) >= 15
    assert {machines[f"lambda-{n}x-h100-sxm"].accelerator_n for n in (1, 2, 4, 8)} == {1, 2, 4, 8}
    assert any(row.accelerator == "none" for row in machines.values())
    for row in (*machines.values(), *apis.values()):
        assert row.source
        assert row.as_of <= date(2026, 12, 31)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": "700.0"}, "not offered"),
        ({"price": "0.00"}, "above 0"),
        ({"spot": "0.00"}, "spot_usd_per_hour: 0.00"),
        ({"price": "-3"}, "above 0"),
        ({"price": "nan"}, "above 0"),
        ({"price": "cheap"}, "no price"),
        ({"currency": "EUR"}, "only USD"),
        ({"source": ""}, "source"),
    ],
)
def test_what_is_no_price_is_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        prices.machines(table(tmp_path, **change))
    assert "machines.csv:2" in str(caught.value)


def test_a_row_is_stale_after_a_year(tmp_path: Path) -> None:
    row = prices.machines(table(tmp_path))["m"]
    assert not row.is_stale(row.as_of + timedelta(days=365))
    assert row.is_stale(row.as_of + timedelta(days=366))


def test_names_are_unique_and_known(tmp_path: Path) -> None:
    path = table(tmp_path)
    with pytest.raises(UsageError, match="did you mean 'lambda-1x-h100-sxm'"):
        prices.find(prices.machines(), "lambda-1x-h100-smx", "machine")
    with pytest.raises(UsageError, match="known: m"):
        prices.find(prices.machines(path), "zzz", "machine")
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(UsageError, match="twice"):
        prices.machines(path)


def test_a_missing_column_or_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with pytest.raises(UsageError, match="cannot be read"):
        prices.apis(path)
    path.write_text("name,currency,source,as_of_kind\na,USD,s,published\n")
    with pytest.raises(UsageError, match="column 'provider' is missing"):
        prices.apis(path)
    path.write_text(table(tmp_path).read_text().replace("2026-01-31", "soon"))
    with pytest.raises(UsageError, match=r"x\.csv:2"):
        prices.machines(path)
