"""Who got how much while everybody waited: service of tenants over jointly backlogged time, from a run log.

Service is counted as the virtual token counter counts it (Sheng et al., arXiv 2401.00588): prompt tokens x
`prompt_cost` once the prompt is computed, which is when its first token comes, output tokens x `output_cost` as they
come. Cached prompt tokens cost nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import Failure
from workbench.runlog.table import RunLog
from workbench.stats.fairness import common, inside, jain, length_ns, union

Ints = NDArray[np.int64]
PROMPT_COST, OUTPUT_COST = 1, 2  # VTC, section 5; the defaults of the fair orders here


@dataclass(frozen=True, slots=True)
class Fairness:
    """Over the time in which every one of `weights` had something waiting; `service` in cost, in that time alone."""

    weights: Mapping[str, int]
    service: Mapping[str, int]
    output_tok: int  # of everybody, in that time
    joint_ns: int
    span_ns: int

    @property
    def joint_frac(self) -> float:
        """The guard: how much of the run the figures speak of. 0: there is nothing to say."""
        return self.joint_ns / self.span_ns if self.span_ns else 0.0

    @property
    def jain(self) -> float | None:
        """Of service over weight: 1 where each got what its weight says."""
        return jain([self.service[name] / weight for name, weight in self.weights.items()])

    def share_frac(self, tenant: str) -> float | None:
        total = sum(self.service.values())
        return self.service[tenant] / total if total else None

    def fair_frac(self, tenant: str) -> float:
        return self.weights[tenant] / sum(self.weights.values())

    @property
    def error_frac(self) -> float | None:
        """How far the worst served tenant's share, or the best served one's, is from what its weight says."""
        shares = {name: self.share_frac(name) for name in self.weights}
        found = [abs(share - self.fair_frac(name)) for name, share in shares.items() if share is not None]
        return max(found) if found else None

    @property
    def output_tok_per_s(self) -> float | None:
        """What the fleet gives while nobody lacks work."""
        return self.output_tok / (self.joint_ns * 1e-9) if self.joint_ns else None


def fairness(
    log: RunLog, weights: Mapping[str, int], *, prompt_cost: int = PROMPT_COST, output_cost: int = OUTPUT_COST
) -> Fairness:
    """`weights` names who is looked at, two or more. All their requests count, those of the warm-up too: they load
    the same fleet."""
    if len(weights) < 2:
        raise ValueError("fairness is between two tenants or more")
    tenants = log.text("tenant")
    mine = {name: np.asarray(tenants == name, dtype=bool) for name in weights}
    start, end = waits_ns(log)
    joint = common([union(start[rows], end[rows]) for rows in mine.values()])
    sent = log.ints("sent_ns")
    span = int(log.ints("end_ns").max(initial=0) - sent[sent >= 0].min(initial=0)) if len(log) else 0
    row, cost, tok = _served(log, joint, prompt_cost, output_cost)
    service = {name: int(cost[rows[row]].sum()) for name, rows in mine.items()}
    return Fairness(dict(weights), service, tok, length_ns(joint), span)


def waits_ns(log: RunLog) -> tuple[Ints, Ints]:
    """(from, to) of each row's wait, wherever it waits: from its arrival until an engine begins it, or until it ends
    without. Where no engine says when it begins (a real one), until it was handed over. Raises Failure."""
    sent, end, begun = log.ints("sent_ns"), log.ints("end_ns"), _begun_ns(log)
    last = int(max(end.max(initial=0), sent.max(initial=0)))
    stop = np.where(begun >= 0, begun, np.where(end >= 0, end, last))
    waited = (sent >= 0) & ~(log.is_ok & (begun < 0))  # answered by a cache: it waited for no engine
    start = np.where(sent >= 0, sent, last)
    return start, np.where(waited, np.maximum(stop, start), start)


def _begun_ns(log: RunLog) -> Ints:
    """-1 where nothing was computed for it."""
    begun = log.ints("start_ns")
    if log.world == "measured" and (begun < 0).all():
        begun = log.ints("admit_ns")
        if (begun < 0).all():
            raise Failure("fairness: the run log says neither when requests were released nor when an engine began "
                          "them; measure behind the gateway")
    return begun


def _served(log: RunLog, joint: Ints, prompt_cost: int, output_cost: int) -> tuple[Ints, Ints, int]:
    """(row, cost) of all that was computed within the intervals, and how many output tokens there were."""
    token_row, token_ns = log.lists("chunk_ns")
    tok = log.lists("chunk_tok")[1]
    if len(tok) != len(token_ns):  # an engine that does not say: a chunk is a token
        tok = np.ones_like(token_ns)
    begun = _begun_ns(log) >= 0
    held = inside(token_ns, joint) & begun[token_row]
    first_ns = log.ints("first_token_ns")
    prompts = np.flatnonzero(begun & (first_ns >= 0) & inside(first_ns, joint))
    computed = np.maximum(log.ints("prompt_tok", 0) - log.ints("cached_tok", 0), 0)[prompts]
    row = np.concatenate([token_row[held], prompts])
    cost = np.concatenate([tok[held] * output_cost, computed * prompt_cost])
    return row, cost, int(tok[held].sum())
