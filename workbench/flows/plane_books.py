"""Ledger and invoices of a run as files: whole pico-USD as text, since a total may exceed 64 bits."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from workbench.control.money.amounts import usd
from workbench.control.money.billing import Billing
from workbench.control.money.invoice import Invoice
from workbench.control.money.ledger import Posting
from workbench.control.plane.billing import close
from workbench.text import one_line


def issued(billing: Billing, stop_ns: int) -> tuple[Invoice, ...]:
    """Every invoice of the run that says something; the period in which it ends is closed as if that were over."""
    close(billing, stop_ns)
    return tuple(one for one in billing.invoices.values() if one.lines)


def ledger_table(postings: Iterable[Posting]) -> pa.Table:
    """One row an entry, those of nothing left out; either debit or credit is empty."""
    columns: dict[str, list[Any]] = {name: [] for name in ("now_ns", "key", "account", "debit_pusd", "credit_pusd")}
    for now_ns, key, entries in postings:
        for account, pusd in entries:
            if pusd:
                row = now_ns, key, account, str(pusd) if pusd > 0 else "", str(-pusd) if pusd < 0 else ""
                for values, value in zip(columns.values(), row, strict=True):
                    values.append(value)
    return pa.table({"now_ns": pa.array(columns.pop("now_ns"), pa.int64()),
                     **{name: pa.array(values, pa.string()) for name, values in columns.items()}})


def totals_pusd(table: pa.Table) -> tuple[int, int]:
    """(debits, credits): equal, or money came from nowhere."""
    debits, credits = (sum(int(text) for text in table.column(name).to_pylist() if text)
                       for name in ("debit_pusd", "credit_pusd"))
    return debits, credits


def as_json(one: Invoice) -> dict[str, Any]:
    return {
        "number": one.number, "tenant": one.tenant, "period": one.period._asdict(), "issued_ns": one.issued_ns,
        "due_ns": one.due_ns, "total_cents": one.total_cents, "total_usd": usd(one.total_cents),
        "lines": [{**line._asdict(), "pusd": str(line.pusd)} for line in one.lines],
    }


def as_text(invoices: Sequence[Invoice]) -> str:
    """Names come from requests: none may look like a line of its own."""
    return "".join(f"{_shown(one)._replace(lines=tuple(map(_shown, one.lines))).text()}\n\n" for one in invoices)


def _shown(row: Any) -> Any:
    return row._replace(**{name: one_line(text) for name, text in row._asdict().items() if isinstance(text, str)})


def balances(billing: Billing) -> Mapping[str, str]:
    return {account: str(pusd) for account, pusd in billing.ledger.balances().items()}
