"""From an answer to a row: which option was chosen, what the text says, whether the code passes."""

import re
from dataclasses import replace

from workbench.errors import Failure
from workbench.quality import extract, humaneval
from workbench.quality.asking import Generated, Likelihoods
from workbench.quality.items import Item
from workbench.quality.rows import Row
from workbench.quality.sandbox import run_code
from workbench.text import one_line


def chosen(loglik: tuple[float, ...], labels: tuple[str, ...]) -> tuple[int, float]:
    """(index of the likeliest option, how far it is ahead in nats); a tie ends in the label, not in the order."""
    order = sorted(range(len(loglik)), key=lambda index: (-loglik[index], labels[index]))
    return order[0], loglik[order[0]] - loglik[order[1]] if len(order) > 1 else 0.0


def row_of(item: Item, repeat: int, seed: int | None, got: Likelihoods | Generated, took_ns: int) -> Row:
    """What was answered, not judged yet."""
    row = Row(task=item.task, item=item.item, subject=item.subject, repeat=repeat, seed=seed, outcome="ok",
              expected=item.right_label, prompt_tok=got.prompt_tok, truncated=got.truncated, took_ns=took_ns)
    if isinstance(got, Generated):
        text = got.text.encode("utf-8", "replace").decode()  # half a character, which JSON can say and no file can hold
        return replace(row, output=text, output_tok=got.output_tok)
    text_bytes = len(item.prompt.encode()) if item.form == "text" else None
    return replace(row, loglik=got.loglik, greedy=got.greedy, output_tok=got.scored_tok, text_bytes=text_bytes)


def failed(item: Item, repeat: int, seed: int | None, reason: str, took_ns: int) -> Row:
    """An item without an answer: never a wrong one, and never left out."""
    return Row(task=item.task, item=item.item, subject=item.subject, repeat=repeat, seed=seed, outcome="failed",
               error=one_line(reason), expected=item.right_label, took_ns=took_ns)


def judged(row: Row, item: Item, backend: str | None) -> Row:
    """The row with its verdict. `backend` is the sandbox that code runs in."""
    if item.form == "text" or row.outcome != "ok":
        return row
    if item.form == "choice":
        assert row.loglik is not None
        index, margin_nats = chosen(row.loglik[:len(item.labels)], item.labels)
        return _right(replace(row, answer=item.labels[index], margin_nats=margin_nats), index == item.right, item)
    assert row.output is not None
    if item.form == "generate":
        found = found_in(row.output, item)
        return _right(replace(row, answer=found), found == item.expected, item)
    assert item.problem is not None
    program = extract.solution(item.problem.prompt, row.output, item.problem.entry_point, chat=item.reading.chat)
    try:
        verdict = run_code(program, humaneval.job(item.problem, program).tests, backend=backend)
    except Failure as failure:  # the sandbox did not come to run it: that says nothing about the code
        return replace(row, outcome="failed", error=one_line(str(failure)))
    return _right(replace(row, verdict=verdict.outcome), verdict.outcome == "passed", item)


def _right(row: Row, correct: bool, item: Item) -> Row:
    """lm-eval says itself what its tasks are worth."""
    return row if item.harness is not None else replace(row, correct=correct, score=float(correct))


def found_in(output: str, item: Item) -> str | None:
    """The answer in a text; None where the pattern finds none."""
    text = extract.without_reasoning(output) if item.reading.strip_reasoning else output
    if item.reading.pattern:
        hit = re.search(item.reading.pattern, text)
        return None if hit is None else (hit[1] if hit.re.groups else hit[0]).strip()
    return text.strip().partition("\n")[0].strip()
