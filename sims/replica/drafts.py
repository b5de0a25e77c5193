"""Speculative decoding: how many drafted tokens turn out right."""

from random import Random

from sims.replica.job import Job, Plan


def accepted(job: Job, drafted: int, acceptance: float, seed: int) -> int:
    """The drafted tokens up to the first wrong one; each is right with the same chance, independently.

    A request has its own draws, so that its answers do not depend on who else is in the batch.
    """
    if job.luck is None:
        job.luck = Random(f"{seed}/{job.request.request_id}")
    right = 0
    while right < drafted and job.luck.random() < acceptance:
        right += 1
    return right


def advance_drafted(plan: Plan, acceptance: float, seed: int) -> None:
    """Each decode emits one token and what was accepted, at most what it was asked for."""
    tokens = []
    for job, drafted in zip(plan.decodes, plan.drafts, strict=True):
        out = min(1 + accepted(job, drafted, acceptance, seed), job.request.output_tok - job.out_tok)
        job.kv_tok += out
        job.late_tok = out - 1
        job.out_tok += out
        tokens.append(out)
    for piece in plan.pieces:
        piece.job.out_tok += piece.last
        piece.job.kv_tok += piece.new_tok
    plan.tokens = (*tokens, *[1] * (len(plan.emitters) - len(tokens)))
