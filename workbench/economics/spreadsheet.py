"""The business as a workbook: inputs on one sheet, everything else live formulas on them; and as CSV.

Text is typed as text, so that a name that begins with = is no formula. Needs openpyxl (pip install openpyxl).
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.styles import Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from workbench.economics.business import Inputs
from workbench.economics.sheet_columns import COLUMNS, spelled
from workbench.files import atomic, write_text

TITLE, INPUT = Font(name="Calibri", bold=True), PatternFill("solid", fgColor="FFF2CC")
FORBIDDEN = "[]:*?/\\'"  # in the name of a sheet
UNITS = (("_frac_per_year", "fraction a year"), ("_rate_per_year", "fraction a year"), ("_frac", "fraction"),
         ("_usd_per_kwh", "USD"), ("usd_per_kwh", "USD"), ("usd_per_hour", "USD"), ("_usd_per_kw_month", "USD"),
         ("_usd_per_month", "USD"), ("_usd_per_user", "USD a month"), ("_usd", "USD"), ("_kw", "kW"),
         ("_rps", "requests/s"), ("_months", "months"), ("months", "months"))  # by the end of an input's name


@dataclass(frozen=True, slots=True)
class Sheet:
    """One option: its inputs, and where each of them came from."""

    name: str
    inputs: Inputs
    sources: Mapping[str, str]


def write_workbook(path: Path, options: Sequence[Sheet], months: int, tables: Mapping[str, list[list[Any]]]) -> None:
    """`tables`: sheets of values that are computed here and not live (tornado, Monte Carlo), rows as they are shown."""
    book = Workbook()
    first = book.active
    assert isinstance(first, Worksheet)  # a new workbook has one
    cells = _inputs(first, options, months)
    summary = book.create_sheet("Summary")
    names = [_months(book.create_sheet(_sheet_name(one.name, i)), cells[one.name], months)
             for i, one in enumerate(options)]
    _summary(summary, options, names, months)
    for i, (title, rows) in enumerate(tables.items(), start=len(options)):
        _values(book.create_sheet(_sheet_name(title, i)), rows)
    with atomic(path) as temporary:
        book.save(temporary)


def _inputs(sheet: Worksheet, options: Sequence[Sheet], months: int) -> dict[str, dict[str, str]]:
    """One row an input, one column an option; returns the cell of each input by option."""
    sheet.title = "Inputs"
    _row(sheet, 1, ["input", *(one.name for one in options), "unit", "source"], bold=True)
    found: dict[str, dict[str, str]] = {one.name: {} for one in options}
    names = ["months", *Inputs.__dataclass_fields__]
    for row, name in enumerate(names, start=2):
        values = [months if name == "months" else getattr(one.inputs, name) for one in options]
        source = next((one.sources[name] for one in options if name in one.sources), "business file")
        unit = next((unit for end, unit in UNITS if name.endswith(end)), "")
        _row(sheet, row, [name, *values, unit, source])
        for column, one in enumerate(options, start=2):
            sheet.cell(row, column).fill = INPUT
            found[one.name][name] = f"Inputs!${get_column_letter(column)}${row}"
    _widths(sheet, [30, *(max(14, len(one.name) + 2) for one in options), 16, 70])
    sheet.freeze_panes = "B2"
    return found


def _months(sheet: Worksheet, inputs: Mapping[str, str], months: int) -> str:
    """A line a month; returns the sheet's name as a formula writes it."""
    _row(sheet, 1, [column.title for column in COLUMNS], bold=True)
    letters = {column.key: get_column_letter(i) for i, column in enumerate(COLUMNS, start=1)}
    for row in range(2, months + 2):
        here = {key: f"{letter}{row}" for key, letter in letters.items()}
        above = {key: f"{letter}{row - 1}" for key, letter in letters.items()}
        for i, column in enumerate(COLUMNS, start=1):
            formula = column.first if row == 2 and column.first is not None else column.formula
            cell = sheet.cell(row, i, spelled(formula, here, above, inputs))
            cell.number_format = "0" if column.key in ("month", "machines", "owned", "rented") else "#,##0.00"
    _widths(sheet, [max(12, len(column.title) + 2) for column in COLUMNS])
    sheet.freeze_panes = "B2"
    return f"'{sheet.title}'"


def _summary(sheet: Worksheet, options: Sequence[Sheet], names: Sequence[str], months: int) -> None:
    titles = ["option", "net present value (USD)", "cash (USD)", "invested (USD)", "ROI", "gross margin"]
    _row(sheet, 1, titles, bold=True)
    letters = {column.key: get_column_letter(i) for i, column in enumerate(COLUMNS, start=1)}
    last = months + 1

    def column(name: str, key: str) -> str:
        return f"{name}!{letters[key]}2:{letters[key]}{last}"

    for row, (one, name) in enumerate(zip(options, names, strict=True), start=2):
        cells = [
            one.name, f"=SUM({column(name, 'discounted_usd')})", f"={name}!{letters['cumulative_usd']}{last}",
            f"=MAX(0,-MIN({column(name, 'cumulative_usd')}))", f'=IF(D{row}>0,C{row}/D{row},"")',
            f"=IF(SUM({column(name, 'revenue_usd')})>0,"
            f"SUM({column(name, 'gross_profit_usd')})/SUM({column(name, 'revenue_usd')}),\"\")",
        ]
        _text(sheet, row, 1, cells[0])
        for i, formula in enumerate(cells[1:], start=2):
            sheet.cell(row, i, formula).number_format = "0.0%" if i >= 5 else "#,##0.00"
    _widths(sheet, [34, *(24 for _ in titles[1:])])


def _values(sheet: Worksheet, rows: list[list[Any]]) -> None:
    for number, row in enumerate(rows, start=1):
        _row(sheet, number, row, bold=number == 1)
    _widths(sheet, [34, *(18 for _ in (rows or [[]])[0][1:])])


def _row(sheet: Worksheet, row: int, values: Sequence[Any], *, bold: bool = False) -> None:
    for column, value in enumerate(values, start=1):
        if isinstance(value, str):
            _text(sheet, row, column, value)
        elif value is not None:
            sheet.cell(row, column, value)
        if bold:
            sheet.cell(row, column).font = TITLE


def _text(sheet: Worksheet, row: int, column: int, value: str) -> None:
    """Typed as text, whatever it begins with."""
    cell = sheet.cell(row, column)
    cell.value = "".join(c for c in value if c.isprintable())
    cell.data_type = "s"
    cell.quotePrefix = value[:1] in "=+-@"


def _widths(sheet: Worksheet, widths: Sequence[float]) -> None:
    """Columns as wide as what is in them, and a print on pages that lie across."""
    sheet.page_setup.orientation, sheet.page_setup.fitToHeight = "landscape", 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    for i, width in enumerate(widths, start=1):
        sheet.column_dimensions[get_column_letter(i)].width = width


def _sheet_name(name: str, number: int) -> str:
    """Numbered through after Inputs and Summary: a number keeps cut names apart."""
    kept = "".join(" " if c in FORBIDDEN or not c.isprintable() else c for c in name).strip()
    return f"{number + 1} {kept}"[:31]


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """One line a row, under the names of the first; text that a spreadsheet would take for a formula is quoted."""
    write_text(path, csv_text(rows))


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: harmless(value) for key, value in row.items()} for row in rows)
    return stream.getvalue()


def harmless(value: Any) -> Any:
    """Text that begins with = + - @ (or a tab or return before them) gets an apostrophe in front; numbers stay."""
    return f"'{value}" if isinstance(value, str) and value.lstrip("\t\r\n ")[:1] in tuple("=+-@") else value


def sheet_rows(values: Any) -> list[list[Any]]:
    """Dataclasses as rows under their fields' names."""
    rows = [asdict(one) for one in values]
    return [list(rows[0]), *(list(row.values()) for row in rows)] if rows else [[]]
