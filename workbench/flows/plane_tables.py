"""The tables of a plane run, as the terminal and the report show them."""

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.figures.table import Table, number, percent
from workbench.flows.journal_words import alarm

BAD = ("rejected", "shed", "timeout", "error", "cancelled")
BAD_WORDS = ("rejected", "shed", "expired", "error", "cancelled")
REASONS = 12  # shown


def tables(found: Mapping[str, Any]) -> list[Table]:
    return [by_tier(found), by_tenant(found), *refused(found), money(found)]


def by_tier(found: Mapping[str, Any]) -> Table:
    """What each tier was promised and got."""
    rows = []
    for name, one in found["tiers"].items():
        p50, p95, p99 = _seconds(one, "ttft_s")
        rows.append((name, _n(one["requests"]), _attained(one), p50, p95, p99, _seconds(one, "e2e_s")[1],
                     *(_n(one["outcomes"][key]) for key in BAD)))
    promised = "; ".join(f"{name} {_promise(found['slo'].get(name, found['slo'].get('*')))}" for name in found["tiers"])
    return Table(
        ("tier", "requests", "attained", "TTFT p50", "p95", "p99", "E2E p95", *BAD_WORDS), tuple(rows),
        f"Simulated, warm-up left out. Promised: {promised}. Attained: of all that arrived, refused and failed ones "
        "included.")


def by_tenant(found: Mapping[str, Any]) -> Table:
    """`asked again` and `devices` are there where anybody did, or any computed."""
    names = [("429s", "limited"), ("cache answers", "cached"), ("retried", "retried")]
    names += [(text, key) for text, key in (("asked again", "repeats"), ("devices", "device"))
              if any(one[key] for one in found["tenants"].values())]
    rows = [(name, _n(one["requests"]), _n(one["outcomes"]["ok"]), *(_n(one[key]) for _, key in names), _attained(one),
             _seconds(one, "ttft_s")[1], _usd(one["money"]["revenue_usd"]), _usd(one["money"]["cost_usd"]))
            for name, one in found["tenants"].items()]
    return Table(("tenant", "requests", "ok", *(text for text, _ in names), "attained", "TTFT p95", "revenue USD",
                  "cost USD"), tuple(rows),
                 "Simulated. Money counts the warm-up; cost is the fleet's, idle time included, by time in an engine."
                 + (" 429s include what the tenant's own full line refused (shed)." if _own_line(found) else ""))


def refused(found: Mapping[str, Any]) -> list[Table]:
    """Why requests got no answer; nothing where all did."""
    every = found.get("refusals", [])
    rows = [(_outcome(one["outcome"]), _n(one["requests"]), str(one["status"] or "none"), one["reason"] or "none given")
            for one in every[:REASONS]]
    if len(every) > REASONS:
        rest = sum(one["requests"] for one in every[REASONS:])
        rows.append(("others", _n(rest), "none", f"{len(every) - REASONS} more reasons; summary.json has all"))
    columns = ("no answer", "requests", "status", "why")
    return [Table(columns, tuple(rows), "Simulated, warm-up left out.")] if rows else []


def _outcome(name: str) -> str:
    return dict(zip(BAD, BAD_WORDS, strict=True)).get(name, name)


def _own_line(found: Mapping[str, Any]) -> bool:
    return any(one["status"] == 429 and one["outcome"] == "shed" for one in found.get("refusals", ()))


def money(found: Mapping[str, Any]) -> Table:
    """Of the run."""
    one = found["money"]
    return Table(("money of a run", "USD"), tuple(
        (name, _usd(one[f"{name}_usd"])) for name in ("revenue", "cost", "margin")), "")


def happened(operations: Sequence[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """(ns, words): replicas that came and went, alarms, shifts of an alias; what happened to several replicas at one
    moment is one line."""
    found: dict[tuple[int, str, str], list[int]] = {}
    for one in operations:
        before, after = _words(one)
        found.setdefault((one["at_ns"], before, after), []).append(one.get("replica", 0))
    return [(at_ns, f"{before}{_replicas(numbers) if after or before.endswith(' ') else ''}{after}")
            for (at_ns, before, after), numbers in found.items()]


def moments(operations: Sequence[Mapping[str, Any]], length_ns: int) -> list[tuple[int, list[tuple[int, str]]]]:
    """(begin, what happened in it): what lies closer than a 20th of the run is one moment."""
    found: list[tuple[int, list[tuple[int, str]]]] = []
    for at_ns, text in happened(operations):
        if not found or (at_ns - found[-1][0]) * 20 > length_ns:
            found.append((at_ns, []))
        found[-1][1].append((at_ns, text))
    return found


def _replicas(numbers: Sequence[int]) -> str:
    return f"replica{'s'[:len(numbers) != 1]} {', '.join(map(str, numbers))}"


def _words(one: Mapping[str, Any]) -> tuple[str, str]:
    """What stands before the replica, if there is one, and what after it."""
    match one["kind"]:
        case "Start":
            return "start ", f"{' on ' + one['node'] if one['node'] else ''}: {one['why']}"
        case "Stop":
            return "stop ", f": {one['why']}"
        case "ReplicaUp":
            return "up: ", ""
        case "ReplicaDown":
            return "down: ", ""
        case "Notice":
            return "", f" will be taken away at {one['gone_ns'] / 1e9:.3f} s"
        case "Failure":
            return f"failure: {one['what']}", ""
        case "Alarm":
            return alarm(one["what"], one["severity"], one["value"], one["limit"], one.get("unit", "")), ""
    return f"{one['alias']}: {one['act']} at {one['share_ppm'] / 1e4:g} %: {one['reason']}", ""


def _promise(slo: Mapping[str, Any] | None) -> str:
    parts = [] if slo is None else [f"{name[:-2].upper()} {slo[name]:g} s" for name in ("ttft_s", "tpot_s", "e2e_s")
                                    if slo[name] is not None]
    return ", ".join(parts) or "nothing"


def _attained(one: Mapping[str, Any]) -> str:
    value = one["metrics"]["slo_attainment_frac"]["value"]
    return percent(value["simulated"], 1) + _half(value, 100, 1)


def _half(value: Mapping[str, Any], scale: float, digits: int) -> str:
    if value.get("high") is None:
        return ""
    return f" ±{(value['high'] - value['simulated']) * scale:.{digits}f}"


def _seconds(one: Mapping[str, Any], metric: str) -> list[str]:
    return [_time(one["metrics"][metric][key]["simulated"]) for key in ("p50", "p95", "p99")]


def _time(value_s: float | None) -> str:
    if value_s is None:
        return "n/a"
    return f"{value_s * 1e3:.0f} ms" if value_s < 1 else f"{value_s:.2f} s"


def _n(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _usd(value: float | None) -> str:
    return "none" if value is None else number(value, 4)
