"""How far a grid is from the database that it was read from, at points between its knots."""

from collections.abc import Iterator

import numpy as np

from workbench.profile.batch import Batch
from workbench.profile.grid import Grid
from workbench.profile.report import GridReport, residuals
from workbench.profile.silicon.database import Database

POINTS = 150  # of each kind
SEED = 7
TOP_TOK = 8192  # of one iteration; contexts of one request go to four times that


def report(database: Database, grid: Grid) -> GridReport:
    """Seeded points, log-uniform over what an engine does; the database's own parts are added up as it adds them."""
    measured: dict[str, list[float]] = {}
    predicted: dict[str, list[float]] = {}
    for kind, batch, ms in points(database, grid):
        measured.setdefault(kind, []).append(ms)
        predicted.setdefault(kind, []).append(grid.time_fs(batch) / 1e12)
    total = sum(database.sources.values())
    shares = sorted(database.sources.items(), key=lambda item: -item[1])
    return GridReport(
        points=sum(map(len, measured.values())),
        residuals={kind: residuals(np.asarray(measured[kind]), np.asarray(predicted[kind])) for kind in measured},
        time_by_fidelity={name: round(share / total, 4) for name, share in shares},
    )


def points(database: Database, grid: Grid) -> Iterator[tuple[str, Batch, float]]:
    """(kind, batch, the database's ms)."""
    rng = np.random.default_rng(SEED)

    def draw(low: int, high: int) -> int:
        return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))

    top_sum = database.kv_tok
    for i in range(POINTS):
        n = draw(1, grid.step_n[-1])
        ctx = draw(16, max(17, min(4 * TOP_TOK, top_sum // n)))
        rest, attention = database.step(n, ctx)
        decodes = n, n * ctx, ctx, ctx
        yield "decode", Batch((), *decodes), rest + attention
        new = draw(16, TOP_TOK)
        past = draw(16, min(4 * TOP_TOK, grid.past_tok[-1])) if i % 2 else 0
        prompt = database.prompt_attention_ms(new, past)
        yield "prefill", Batch(((new, past),)), database.rest_ms(new) + prompt
        yield "mixed", Batch(((new, past),), *decodes), database.rest_ms(new + n) + prompt + attention
        pieces, each = draw(2, 8), draw(16, TOP_TOK // 8)
        together = database.rest_ms(pieces * each) + database.prompt_attention_ms(each, past, pieces)
        yield "several prompts", Batch(((each, past),) * pieces), together
