"""The book's figures: recomputed, shown, written out as a page; the checks of those that need a simulation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engines.lookup import find
from workbench.config import parse, read_text
from workbench.economics.capacity_spec import CapacitySpec
from workbench.economics.claims.found import Found, judged
from workbench.economics.claims.register import Check, Claim, check_of, disagreement, register
from workbench.economics.cost_spec import CostSpec
from workbench.errors import UsageError
from workbench.paths import data

KIND, SCHEMA = "workbench.claims", 1
WORDS = {"holds": "holds", "incomplete": "leads astray", "wrong": "wrong", "missing": "no figure given"}


def users_per_gpu() -> Found:
    """The session of examples/capacity.toml on one H100."""
    from workbench.flows.capacity import capacity

    path = data("examples") / "capacity.toml"
    spec = parse(CapacitySpec, read_text(path), path.name).model_copy(update={"scaler": (), "down": 0})
    users = capacity(spec, path.parent)["users"]
    return Found("missing", {"users": users["users"], "knee_users": users["bounds"]["knee_users"]})


def cost_per_request() -> Found:
    """The load of examples/cost.toml on rented H100s, replicas following it."""
    from workbench.flows.cost import cost

    path = data("examples") / "cost.toml"
    rows = cost(parse(CostSpec, read_text(path), path.name), path.parent)["ways"]
    row = next(one for one in rows if one["name"] == "rented, scaled")
    return Found("missing", {"usd_per_thousand_requests": row["usd_per_thousand_requests"],
                             "others_say_frac": row["naive_usd_per_million_output_tok"]
                             / row["usd_per_million_output_tok_whole"]})


def pytorch_on_tpu() -> Found:
    """Whether a checkpoint that vLLM serves on a GPU must be converted for vLLM on a TPU: the records of both say which
    formats they read."""
    gpu, tpu = (set(find(name).formats) for name in ("vllm", "tpu"))
    return judged({"formats_on_tpu": float(len(tpu)), "read_on_a_gpu_too": float(len(tpu & gpu))}, holds=not tpu & gpu)


SIMULATED: Mapping[str, Check] = {
    "simulated.users_per_gpu": users_per_gpu, "simulated.cost_per_request": cost_per_request,
}
JOINED: Mapping[str, Check] = {**SIMULATED, "engines.pytorch_on_tpu": pytorch_on_tpu}


def claims(chapter: str | None = None, *, simulate: bool = False, path: Path | None = None) -> dict[str, Any]:
    """Every row with what its check finds now; rows that need a simulation show what they found last, unless asked."""
    rows = [one for one in register(path) if chapter in (None, one.chapter)]
    if not rows:
        known = ", ".join(dict.fromkeys(one.chapter for one in register(path)))
        raise UsageError(f"--chapter {chapter}: no figure of it is in the register; there are {known}")
    return {"kind": KIND, "schema": SCHEMA, "origin": "derived", "claims": [_row(one, simulate) for one in rows]}


def _row(claim: Claim, simulate: bool) -> dict[str, Any]:
    recomputed = simulate or not claim.simulated
    found = check_of(claim, JOINED)() if recomputed else Found(claim.verdict, claim.numbers)
    return {
        "id": claim.id, "chapter": claim.chapter, "claim": claim.claim, "verdict": found.verdict,
        "numbers": dict(found.numbers), "say": said(claim, found), "check": claim.check, "recomputed": recomputed,
        "disagreement": disagreement(claim, found),
    }


def said(claim: Claim, found: Found) -> str:
    """The row's words with its numbers in them: `{name:.1f}`."""
    try:
        return claim.say.format(**found.numbers)
    except (KeyError, ValueError, IndexError) as error:
        raise UsageError(f"claims.toml: {claim.id}: say: {error}: there are {', '.join(found.numbers)}") from None


def page() -> str:
    """docs/economics/claims.md."""
    rows = claims()["claims"]
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in WORDS}
    head = (
        "# The book's figures, recomputed\n\nGenerated from `datasets/claims.toml`; each row names a function that "
        "recomputes it, and a test compares (`workbench claims --simulate` runs the two that take a simulation, too). "
        "Memory is counted at 90 % of a card, with 16-bit KV, before activations. Prices are of the day in "
        f"`datasets/prices`. {', '.join(f'{n} {WORDS[verdict]}' for verdict, n in counts.items())}.\n\n"
        "| chapter | the book | verdict | what to say | check |\n| --- | --- | --- | --- | --- |\n")
    return head + "\n".join(_cells(row) for row in rows) + "\n"


def _cells(row: Mapping[str, Any]) -> str:
    text: Sequence[str] = (row["chapter"], row["claim"], WORDS[row["verdict"]], row["say"], f"`{row['check']}`")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in text) + " |"
