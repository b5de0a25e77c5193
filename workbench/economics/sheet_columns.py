"""The columns of a month in the spreadsheet: the formulas of `business.py` once more, in the language of a sheet.

`{users}` is that column in the same row, `{users@-1}` in the row above, `{=churn_frac}` the cell of an input.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PART = re.compile(r"\{(=?)(\w+)(@-1)?\}")


@dataclass(frozen=True, slots=True)
class Column:
    """`key` is the field of `business.Month`."""

    key: str
    title: str
    formula: str
    first: str | None = None  # of the first month, where the row above is no month


def spelled(formula: str, here: Mapping[str, str], above: Mapping[str, str], inputs: Mapping[str, str]) -> str:
    """The formula with every part in braces replaced by a cell."""
    def cell(found: re.Match[str]) -> str:
        source = inputs if found[1] else above if found[3] else here
        return source[found[2]]

    return "=" + _PART.sub(cell, formula)


_USE = "IF({owned}+{rented}>0,MIN(1,{requests}/(730*3600)/(({owned}+{rented})*{=capacity_rps})),0)"
_SOLD = "IF({month}={=months},{owned}*{=server_usd}*(1-(1-{=residual_frac})*{=months}/{=life_months}),0)"

COLUMNS = (
    Column("month", "month", "{month@-1}+1", "1"),
    Column("new_users", "new users", "{=new_users_per_month}*(1+{=growth_frac})^({month}-1)"),
    Column("users", "users", "{users@-1}*(1-{=churn_frac})+{new_users}",
           "{=start_users}*(1-{=churn_frac})+{new_users}"),
    Column("revenue_usd", "revenue (USD)", "{users}*({=subscription_usd_per_user}+{=usage_usd_per_user})"),
    Column("requests", "requests", "{users}*{=requests_per_user}"),
    Column("peak_rps", "peak (requests/s)", "{requests}/(730*3600)*{=peak_to_mean}"),
    Column("machines", "machines needed", "ROUNDUP({peak_rps}/{=capacity_rps},0)+{=spare_machines}"),
    Column("owned", "owned", "MAX({owned@-1},MIN({machines},{=owned_most}))", "MIN({machines},{=owned_most})"),
    Column("rented", "rented", "MAX(0,{machines}-{owned})"),
    Column("capex_usd", "bought (USD)", "({owned}-{owned@-1})*{=server_usd}", "{owned}*{=server_usd}"),
    Column("rent_usd", "rent (USD)", "{rented}*{=usd_per_hour}*730*{=rented_hours_frac}"),
    Column("power_usd", "electricity (USD)",
           "{owned}*{=power_kw}*({=idle_power_frac}+(1-{=idle_power_frac})*" + _USE + ")*{=pue}*730*{=usd_per_kwh}"),
    Column("housing_usd", "colocation, maintenance (USD)",
           "{owned}*({=power_kw}*{=colocation_usd_per_kw_month}+{=server_usd}*{=maintenance_frac_per_year}/12)"),
    Column("depreciation_usd", "depreciation (USD)", "{owned}*{=server_usd}*(1-{=residual_frac})/{=life_months}"),
    Column("variable_usd", "fees, support (USD)", "{revenue_usd}*{=payment_fee_frac}+{users}*{=support_usd_per_user}"),
    Column("staff_usd", "staff (USD)", "{=staff_usd_per_month}"),
    Column("gross_profit_usd", "gross profit (USD)",
           "{revenue_usd}-{rent_usd}-{power_usd}-{housing_usd}-{depreciation_usd}-{variable_usd}"),
    Column("cash_usd", "cash (USD)", "{revenue_usd}-{capex_usd}-{rent_usd}-{power_usd}-{housing_usd}-{variable_usd}"
           "-{staff_usd}+" + _SOLD),
    Column("cumulative_usd", "cash so far (USD)", "{cumulative_usd@-1}+{cash_usd}", "{cash_usd}"),
    Column("discounted_usd", "discounted cash (USD)", "{cash_usd}/(1+{=capital_rate_per_year})^({month}/12)"),
)
