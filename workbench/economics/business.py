"""A business, month by month: customers, revenue, machines, costs, cash. All in USD, float; docs/economics/business.md.

Every line is plain arithmetic on its own month and the one before: the spreadsheet has the same formulas, live.
"""

import difflib
import math
from dataclasses import asdict, dataclass, replace

from workbench.errors import UsageError

HOURS_PER_MONTH = 730  # 365 * 24 / 12
SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything one option depends on; the names are those of the file and of the spreadsheet's first sheet."""

    start_users: float
    new_users_per_month: float
    growth_frac: float
    churn_frac: float
    peak_to_mean: float
    subscription_usd_per_user: float  # over all tiers, a month
    usage_usd_per_user: float
    requests_per_user: float
    capacity_rps: float
    spare_machines: float
    owned_most: float  # machines that are bought at most: 0 rented, very many owned
    usd_per_hour: float
    rented_hours_frac: float
    server_usd: float
    power_kw: float
    usd_per_kwh: float
    pue: float
    idle_power_frac: float
    colocation_usd_per_kw_month: float
    maintenance_frac_per_year: float
    life_months: float
    residual_frac: float
    staff_usd_per_month: float
    support_usd_per_user: float
    payment_fee_frac: float
    capital_rate_per_year: float

    def but(self, **change: float) -> "Inputs":
        """With other values; an unknown name is refused."""
        wrong = set(change) - set(self.__dataclass_fields__)
        if wrong:
            near = difflib.get_close_matches(min(wrong), self.__dataclass_fields__, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self.__dataclass_fields__)}"
            raise UsageError(f"{min(wrong)!r} is no input of the business model; {hint}")
        return replace(self, **change)


@dataclass(frozen=True, slots=True)
class Month:
    """One line of the model."""

    month: int
    new_users: float
    users: float
    revenue_usd: float
    requests: float
    peak_rps: float
    machines: float
    owned: float
    rented: float
    capex_usd: float
    rent_usd: float
    power_usd: float
    housing_usd: float
    depreciation_usd: float
    variable_usd: float
    staff_usd: float
    gross_profit_usd: float
    cash_usd: float
    cumulative_usd: float
    discounted_usd: float


def months(given: Inputs, n: int) -> list[Month]:
    """The months 1 to n; in the last one the machines are sold at their book value."""
    found: list[Month] = []
    users, owned, cumulative = given.start_users, 0.0, 0.0
    for m in range(1, n + 1):
        line = _month(given, m, n, users, owned, cumulative)
        users, owned, cumulative = line.users, line.owned, line.cumulative_usd
        found.append(line)
    return found


def _month(x: Inputs, m: int, n: int, users_before: float, owned_before: float, cumulative: float) -> Month:
    new = x.new_users_per_month * (1 + x.growth_frac) ** (m - 1)
    users = users_before * (1 - x.churn_frac) + new
    revenue = users * (x.subscription_usd_per_user + x.usage_usd_per_user)
    requests = users * x.requests_per_user
    peak = requests / SECONDS_PER_MONTH * x.peak_to_mean
    machines = math.ceil(peak / x.capacity_rps) + x.spare_machines
    owned = max(owned_before, min(machines, x.owned_most))
    rented = max(0.0, machines - owned)
    capex = (owned - owned_before) * x.server_usd
    rent = rented * x.usd_per_hour * HOURS_PER_MONTH * x.rented_hours_frac
    use = min(1.0, requests / SECONDS_PER_MONTH / ((owned + rented) * x.capacity_rps)) if owned + rented > 0 else 0.0
    power = owned * x.power_kw * (x.idle_power_frac + (1 - x.idle_power_frac) * use) * x.pue * HOURS_PER_MONTH \
        * x.usd_per_kwh
    housing = owned * (x.power_kw * x.colocation_usd_per_kw_month + x.server_usd * x.maintenance_frac_per_year / 12)
    depreciation = owned * x.server_usd * (1 - x.residual_frac) / x.life_months
    variable = revenue * x.payment_fee_frac + users * x.support_usd_per_user
    sold = owned * x.server_usd * (1 - (1 - x.residual_frac) * n / x.life_months) if m == n else 0.0
    cash = revenue - capex - rent - power - housing - variable - x.staff_usd_per_month + sold
    return Month(
        m, new, users, revenue, requests, peak, machines, owned, rented, capex, rent, power, housing, depreciation,
        variable, x.staff_usd_per_month, revenue - rent - power - housing - depreciation - variable, cash,
        cumulative + cash, cash / (1 + x.capital_rate_per_year) ** (m / 12),
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the months come to. None: not reached within them, or nothing was invested."""

    npv_usd: float  # at the cost of capital
    cash_usd: float
    invested_usd: float  # the deepest that the till is in the red
    roi_frac: float | None  # cash over what was invested
    payback_month: int | None  # from here on the till stays in the black
    profitable_month: int | None  # the first whose gross profit covers the staff
    gross_margin_frac: float | None  # of all revenue


def outcome(lines: list[Month]) -> Outcome:
    cash, revenue = lines[-1].cumulative_usd, sum(line.revenue_usd for line in lines)
    deepest = max(0.0, -min(line.cumulative_usd for line in lines))
    black = next((i for i in range(len(lines), 0, -1) if lines[i - 1].cumulative_usd < 0), 0)
    earning = next((line.month for line in lines if line.gross_profit_usd >= line.staff_usd), None)
    return Outcome(
        sum(line.discounted_usd for line in lines), cash, deepest, cash / deepest if deepest else None,
        None if black == len(lines) else black + 1, earning,
        sum(line.gross_profit_usd for line in lines) / revenue if revenue else None,
    )


def npv(given: Inputs, n: int) -> float:
    return sum(line.discounted_usd for line in months(given, n))


def break_even_users(given: Inputs, n: int) -> float | None:
    """Constant customers at which the net present value is 0, by bisection; None where no number does it."""
    def value(users: float) -> float:
        return npv(given.but(start_users=users, new_users_per_month=users * given.churn_frac, growth_frac=0.0), n)

    low, high = 0.0, 1.0
    while value(high) < 0:
        low, high = high, 2 * high
        if high > 1e9:
            return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if value(middle) >= 0 else (middle, high)
    return high


def as_rows(lines: list[Month]) -> list[dict[str, float]]:
    return [asdict(line) for line in lines]
