"""What a quality report says: a table of decisions, a table of distances, and a sentence a row."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.figures.table import Table, number
from workbench.flows.quality_join import Cell
from workbench.flows.quality_speed import Speed
from workbench.quality.table import QualityRow
from workbench.stats.verdict import Verdict

MIB = 2**20
DECISION = ("Measured; scores in percent with half of the 95 % interval. A star: different from the first row (paired "
            "by item; all comparisons of this page hold together at 95 %). Without a star nothing is ranked. Flips: "
            "answers whose score changed, either way. Money is derived from the price given.")
DISTANCES = ("Distance to the first row's distribution on held-out text. Measured; 95 % intervals by document. "
             "Perplexities share the text: compare the rows by KL, not by whether these intervals overlap.")


@dataclass(frozen=True)
class Compared:
    """A cell beside its base: what may be said of each task, and of how much faster it is."""

    cell: Cell
    row: QualityRow
    to_base: dict[str, Verdict]
    to_next: dict[str, Verdict]  # against the next larger one of the same engine and KV type


def sentence(one: Compared, base: Compared) -> str:
    """What a person decides from: smaller, faster, and by how many points worse; nothing that was not shown."""
    parts = [*_smaller(one.row, base.row), *_faster(one.cell.speed, base.cell.speed), *_far(one.row)]
    lower = [f"{task} {said.words}" for task, said in one.to_base.items() if said.different]
    same = [said for said in one.to_base.values() if not said.different]
    parts += lower
    if same:
        which = "" if not lower else " on the others"
        items = sum(said.found.n for said in same)
        seen = [said.least for said in same]
        least = f", {100 * max(value for value in seen if value is not None):.1f} points would be seen on each" \
            if all(value is not None for value in seen) else ""
        parts.append(f"not distinguishable from {base.row.label}{which} ({items} items in {len(same)} tasks{least})")
    text = f"{one.row.label}: {', '.join(parts)}"
    if one.to_next:
        text += "; " + _next(one)
    return text + "."


def _far(row: QualityRow) -> list[str]:
    """Distance, and the answers that changed: what accuracy hides."""
    parts = [f"KL {row.figures['kl_mean'].mean:.2g} nats"] if "kl_mean" in row.figures else []
    if "flips" in row.values:
        parts.append(f"{row.values['flips']:.0f} of {row.values['flips_n']:.0f} answers changed")
    return parts


def _next(one: Compared) -> str:
    said = list(one.to_next.values())
    before, items = said[0].first, sum(item.found.n for item in said)
    different = [f"{task} {item.words}" for task, item in one.to_next.items() if item.different]
    if different:
        return ", ".join(different)
    return f"not distinguishable from {before} on {items} items"


def _smaller(row: QualityRow, base: QualityRow) -> list[str]:
    if "bytes" not in row.values or "bytes" not in base.values:
        return []
    ratio = base.values["bytes"] / row.values["bytes"]
    return [f"{ratio:.1f}x smaller"] if ratio > 1.05 else []


def _faster(speed: Speed | None, base: Speed | None) -> list[str]:
    if speed is None or base is None or speed is base:
        return []
    found = speed.times(base)
    if found is None:
        return [f"{speed.tok_per_s.mean / base.tok_per_s.mean:.1f}x as fast (one run each)"]
    if found.low <= 1 <= found.high:
        return [f"as fast as far as {found.n} runs tell ({found.low:.2f} to {found.high:.2f}x)"]
    word = "faster" if found.mean > 1 else "as fast"
    return [f"{found.mean:.1f}x {word} ({found.low:.1f} to {found.high:.1f})"]


def decision(compared: Sequence[Compared]) -> Table:
    """A row a cell. A star: different from the base, all comparisons of the table together at 95 %."""
    tasks = tuple(dict.fromkeys(task for one in compared for task in one.row.tasks))
    columns = ("", "engine", "bits/weight", "MiB", "KL mean (nats)", *tasks, "flips", "tok/s", "USD per M tok")
    rows = []
    for one in compared:
        row = one.row
        scores = [_points(row, task, one.to_base.get(task)) for task in tasks]
        flips = f"{row.values['flips']:.0f} of {row.values['flips_n']:.0f}" if "flips" in row.values else "n/a"
        size = row.values.get("bytes")
        rows.append((
            row.label, f"{row.words['engine']} {row.words['version']}", number(row.values.get("bits_per_weight")),
            number(size / MIB if size else None), _ends(row, "kl_mean"), *scores, flips, _ends(row, "tok_per_s"),
            number(row.values.get("usd_per_million_tok")),
        ))
    return Table(columns, tuple(rows), DECISION)


def _points(row: QualityRow, task: str, said: Verdict | None) -> str:
    if task not in row.tasks:
        return "n/a"
    share = row.tasks[task].share
    star = " *" if said is not None and said.different else ""
    return f"{100 * share.mean:.1f} ± {100 * (share.high - share.low) / 2:.1f}{star}"


def _ends(row: QualityRow, name: str) -> str:
    found = row.figures.get(name)
    if found is None:
        return "n/a"
    half = (found.high - found.low) / 2
    if name == "kl_mean":  # over six powers of ten: significant digits, not places
        return f"{found.mean:.2g}" + (f" ± {half:.2g}" if half else "")
    return number(found.mean) + (f" ± {number(half)}" if half else "")


def distances_of(rows: Sequence[QualityRow]) -> Table:
    columns = ("", "engine", "perplexity", "KL mean (nats)", "KL median", "KL 99.9 %", "top-1 agreement", "tokens")
    cells = []
    for row in rows:
        top, values = row.figures.get("top_1"), row.values
        n = row.figures["kl_mean"].n if "kl_mean" in row.figures else None
        agree = "n/a" if top is None else f"{100 * top.mean:.2f} ± {100 * (top.high - top.low) / 2:.2f} %"
        kind = " (lower bound)" if row.words.get("kl_kind") == "lower bound" else ""
        cells.append((row.label, row.words["engine"], _ends(row, "perplexity"), _ends(row, "kl_mean") + kind,
                      number(values.get("kl_median")), number(values.get("kl_p999")), agree, str(n or "n/a")))
    return Table(columns, tuple(cells), DISTANCES)
