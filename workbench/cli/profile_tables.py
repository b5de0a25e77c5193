"""Profiles as tables for people."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table as Grid

from workbench.cli.common import escape
from workbench.profile.figures import Compared, compare_notes, context_tok, figures, side
from workbench.profile.listing import axes, decode_rows, thin
from workbench.profile.model import PER, Linear, Table
from workbench.profile.profile import Profile
from workbench.profile.report import FitReport, GridReport

FS_PER_US = 1e9


def profile_tables(profile: Profile) -> RenderableType:
    parts: list[RenderableType] = [_title(profile), _times(profile), "", _figures(profile), "", _ranges(profile)]
    if profile.grid_report is not None:
        parts += ["", _grid_report(profile.grid_report)]
    if profile.fit_report is not None:
        parts += ["", _residuals(profile.fit_report), "", _notes(profile.fit_report)]
    if notes := thin(profile):
        parts += ["", "Where it is thin", *(f"  {escape(text)}" for text in notes)]
    return Group(*parts)


def compare_table(rows: Sequence[Compared], a: Profile, b: Profile) -> RenderableType:
    grid = _grid("", "figure", "unit", "first", "second", "second / first", "")
    for row in rows:
        grid.add_row(row.name, row.unit, f"{row.a:.2f}", f"{row.b:.2f}", f"{row.ratio:.2f}",
                     "" if row.inside else "outside the range of one of them")
    notes = [f"note: {escape(text)}" for text in compare_notes(a, b)]
    return Group(f"first:  {escape(side(a))}", f"second: {escape(side(b))}", *notes, grid)


def _grid(title: str, *columns: str) -> Grid:
    grid = Grid(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        grid.add_column(column, justify="left" if i == 0 else "right")
    return grid


def _name(profile: Profile) -> str:
    words = (profile.subject.engine, profile.subject.model, profile.subject.quant)
    return escape(" ".join(filter(None, words)) or "profile")


def _title(profile: Profile) -> str:
    where = escape(profile.subject.hardware)
    blocks = f", {profile.kv_blocks} KV blocks of {profile.block_tok}" if profile.kv_blocks else ""
    split = f", {profile.parallel}" if profile.subject.gpus else ""
    title = f"{_name(profile)} ({profile.source}{', ' + where if where else ''}{split}{blocks})"
    base = profile.provenance.get("database")
    return f"{title}\n{f'from {escape(str(base))}' + chr(10) if base else ''}sha256 {profile.sha256}\n"


def _times(profile: Profile) -> RenderableType:
    """Coefficients where the model has some, else decode times over batch and context."""
    return _coefficients(profile) if isinstance(profile.model, Linear | Table) else _decode_table(profile)


def _decode_table(profile: Profile) -> RenderableType:
    decodes, contexts = axes(profile)
    kept = [ctx for ctx in contexts if ctx >= 128][::2]
    grid = _grid("Decode time (ms) by sequences and context of each", "sequences", *(f"{ctx:,}" for ctx in kept))
    rows = decode_rows(profile, decodes, kept)
    for n in decodes:
        grid.add_row(str(n), *(f"{row['decode_ms']:.2f}{' ' if row['inside'] else '*'}" for row in rows
                               if row["decode_n"] == n))
    return grid if all(row["inside"] for row in rows) else Group(grid, f"* {_outside(profile)}")


def _grid_report(report: GridReport) -> RenderableType:
    known = ", ".join(f"{name} {share:.0%}" for name, share in report.time_by_fidelity.items())
    grid = _grid("Source / table - 1, between the knots", "iterations", "n", "mean", "sd", "95 % within")
    for name, found in report.residuals.items():
        grid.add_row(escape(name), str(found.n), f"{found.mean_frac:+.1%}", f"{found.sd_frac:.1%}",
                     f"{found.p95_abs_frac:.1%}")
    return Group(grid, f"decode time by how the source knows it: {escape(known)}")


def _coefficients(profile: Profile) -> RenderableType:
    grid = _grid(f"Iteration time: {profile.model.kind} model", "per", "us", "standard error")
    errors = profile.fit_report.coefficient_se_fs if profile.fit_report else {}
    model = profile.model
    entries: list[tuple[str, str, int]] = []
    if isinstance(model, Linear):
        entries = [(PER[name], name, value) for name, value in model.coefficients_fs.items()]
    elif isinstance(model, Table):
        steps = zip(model.decode_n, model.step_fs, strict=True)
        entries = [(f"iteration with {n} decodes", f"step at {n} decodes", value) for n, value in steps]
        entries += [(PER[name], name, value) for name, value in model.slopes_fs.items()]
    for label, key, value in entries:
        grid.add_row(label, f"{value / FS_PER_US:.4g}", f"{errors[key] / FS_PER_US:.2g}" if key in errors else "n/a")
    for item in profile.overheads:
        grid.add_row(f"request, {escape(item.name)} ({'in' if item.occupies_engine else 'outside'} the engine)",
                     f"{item.ns / 1e3:.4g}", "declared")
    return grid


def _figures(profile: Profile) -> RenderableType:
    grid = _grid(f"At {context_tok(profile):,} tokens of context each", "figure", "value", "unit", "")
    for item in figures(profile):
        grid.add_row(item.name, f"{item.value:.2f}", item.unit, "" if item.inside else _outside(profile))
    return grid


def _ranges(profile: Profile) -> RenderableType:
    grid = _grid("Measured range" if profile.source == "measured" else "Range of the source", "field", "from", "to")
    for name, bounds in profile.ranges.bounds.items():
        grid.add_row(escape(name), str(bounds.low), str(bounds.high))
    return grid


def _residuals(report: FitReport) -> RenderableType:
    grid = _grid("Measured / predicted - 1", "iterations", "n", "mean", "sd", "95 % within", "of the total time")
    for name, found in [*report.residuals.items(), *report.origins.items()]:
        grid.add_row(str(name), str(found.n), f"{found.mean_frac:+.1%}", f"{found.sd_frac:.1%}",
                     f"{found.p95_abs_frac:.1%}", f"{found.total_frac:+.1%}")
    return grid


def _notes(report: FitReport) -> str:
    drift = report.drift
    lines = [
        f"chosen: {next(item.name for item in report.candidates if item.chosen)}",
        f"because: {escape(report.reason)}",
        f"speed of the machine: {drift.runs_n} runs, time blocks at {drift.block_ratio_min:.2f} to "
        f"{drift.block_ratio_max:.2f} of the predicted time"
        + (f", runs differ by {drift.between_runs_sd_frac:.1%} (sd)" if drift.between_runs_sd_frac is not None else "")
        + (f", trend {drift.trend_frac_per_min:+.1%} a minute" if drift.trend_frac_per_min is not None else ""),
    ]
    lines += [f"grid / live, {region}: {ratio:.2f}" for region, ratio in drift.grid_over_live.items()]
    lines += [f"{escape(name).replace('_', ' ')}: {n} iterations" for name, n in report.outside.items()]
    lines += [f"left out, {escape(name)}: {n}" for name, n in report.left_out.items()]
    return "\n".join(lines)


def _outside(profile: Profile) -> str:
    return "outside the measured range" if profile.source == "measured" else "outside the range of the source"
