"""What `workbench compare` prints of plane scenarios: one table of all figures, and what must be known before it."""

from collections.abc import Mapping
from typing import Any

from workbench.cli.common import escape
from workbench.cli.replications import profile_words

# figures in the order in which they are read: who waited, who was served, what it was worth
ORDER = ("ttft_s", "slo_attainment_frac", "jain_index", "share_error_frac", "service_share_frac", "joint_frac",
         "goodput_rps", "output_tok_per_s", "revenue_usd", "cost_usd")
TENANT = "tenant:"
LITTLE_FRAC = 0.02  # of a run jointly backlogged: less says little of fairness


def plane_warnings(found: Mapping[str, Any]) -> list[str]:
    """What a reader must know first."""
    lines = []
    for item in found["variants"]:
        lines += [f"{item['name']}: {kind} is {escape(about)}" for kind, about in item["custom"].items()]
        lines += [] if item["paired"] else [f"{item['name']}: {item['pairing']}"]
        if item["unpriced"]:
            lines.append(f"{item['name']}: {item['unpriced']} requests have tokens that no price covers: revenue is "
                         "short of them")
    little = [row["variant"] for row in found["figures"]
              if row["metric"] == "joint_frac" and (row["mean"] or 0.0) < LITTLE_FRAC]
    if little:
        lines.append(f"{', '.join(little)}: the tenants hardly ever waited all at once: shares say little, load more")
    stage = found["replications"]["two_stage"]
    if stage and not stage["reached"]:
        lines.append(f"the half-width asked for needs {stage['needed']} replications ({stage['needed_by']}): "
                     f"stopped at {stage['replications']}")
    return lines


def plane_table(found: Mapping[str, Any]) -> Any:
    """A block a figure, a row a variant: its mean with its own interval, and the difference from the baseline."""
    from rich.console import Group
    from rich.table import Table

    names = {item["name"]: escape(_short(found, item["name"])) for item in found["variants"]}
    wide = max(len(name) for name in names.values())
    parts: list[Any] = []
    for title, rows in _blocks(found):
        table = Table(box=None, pad_edge=False, show_header=not parts)
        table.add_column("", no_wrap=True, min_width=wide)
        for column in ("mean", "±", "difference", "from", "to"):
            table.add_column(column, justify="right", no_wrap=True, min_width=10 if column == "difference" else 8)
        table.add_column("", no_wrap=True)
        for row in rows:
            table.add_row(names[row["variant"]], *_cells(found, row))
        parts += [f"[bold]{escape(title)}[/bold]", table]
    first = found["variants"][0]
    tail = [f"{escape(name)}: {text}" for name, text in found["notes"].items()
            if any(row["metric"] == name for row in found["figures"])]
    return Group(
        f"baseline {escape(found['baseline'])}, {found['replications']['n']} replications, simulated; "
        f"{first['replicas']} replicas on {profile_words(first['profile_source'], first['profile'])}",
        f"95 % intervals: each mean's own; of differences {found['method']['simultaneous']}. No word: no difference "
        "shown", "", *parts, "", *tail)


def _blocks(found: Mapping[str, Any]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """(figure and of what, rows of all variants), in the order of reading."""
    blocks: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in found["figures"]:
        blocks.setdefault((row["metric"], row["stat"], row["tier"]), []).append(row)
    place = {name: i for i, name in enumerate(ORDER)}
    return [(_title(*key, rows[0]), rows)
            for key, rows in sorted(blocks.items(), key=lambda item: place.get(item[0][0], len(ORDER)))]


def _title(metric: str, stat: str, tier: str, row: Mapping[str, Any]) -> str:
    name = metric if stat == "value" else f"{metric} {stat}"
    of = "" if tier == "all" else f", {tier.removeprefix(TENANT)}"
    return f"{name}{of}: {row['label']}{' (' + row['unit'] + ')' if row['unit'] else ''}"


def _cells(found: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    if row["mean"] is None:
        return [f"n/a in {row['missing']} of {row['n']}"]
    own = [_digits(row["mean"]), _digits(row["high"] - row["mean"])]
    if row["variant"] == found["baseline"]:
        return [*own, "", "", "", "baseline"]
    keys = ("variant", "tier", "metric", "stat")
    other = next((item for item in found["comparisons"] if all(item[key] == row[key] for key in keys)), None)
    if other is None:
        return own
    ends = other["simultaneous"]
    signed = [_signed(value) for value in (other["difference"], ends["low"], ends["high"])]
    return [*own, *signed, "" if other["verdict"] == "no difference shown" else other["verdict"]]


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _signed(value: float) -> str:
    return ("-" if value < 0 else "+") + _digits(abs(value))


def _short(found: Mapping[str, Any], name: str) -> str:
    """`vtc` of `scheduling=vtc` where every variant begins alike."""
    head, equals, tail = name.partition("=")
    alike = all(item["name"].startswith(f"{head}=") and " " not in item["name"] for item in found["variants"])
    return tail if equals and alike else name
