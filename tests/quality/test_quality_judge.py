"""Verdicts: by the option's text alone, by the text that was written, by the tests that code passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.quality.asking import Generated, Likelihoods
from workbench.quality.humaneval import Problem
from workbench.quality.items import HarnessKey, Item, Reading
from workbench.quality.judge import chosen, failed, found_in, judged, row_of

WORDS = st.lists(st.text("abcd", min_size=1, max_size=3), min_size=2, max_size=6, unique=True)


def by_text(text: str, level: int) -> float:
    """A scorer that sees nothing but the option's text; a low level makes many ties."""
    return -float(sum(map(ord, text)) % level)


@given(words=WORDS, level=st.integers(1, 7), data=st.data())
def test_the_order_of_options_does_not_matter_where_only_their_text_is_scored(
    words: list[str], level: int, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(words))
    answers = []
    for order in (words, shuffled):
        index, margin_nats = chosen(tuple(by_text(word, level) for word in order), tuple(order))
        answers.append((order[index], margin_nats))
    assert answers[0] == answers[1]
    assert answers[0][1] >= 0


def choice(right: int = 1, harness: HarnessKey | None = None) -> Item:
    return Item("t", "1", "choice", "The sky is", options=(" red", " blue"), labels=("red", "blue"), right=right,
                harness=harness)


def test_a_choice_by_hand() -> None:
    row = judged(row_of(choice(), 0, None, Likelihoods((-3.0, -1.0), (False, True), 4, 2, False), 5), choice(), None)
    assert (row.answer, row.expected, row.correct, row.score, row.margin_nats) == ("blue", "blue", True, 1.0, 2.0)
    assert (row.prompt_tok, row.output_tok, row.truncated, row.took_ns, row.outcome) == (4, 2, False, 5, "ok")
    wrong = judged(row_of(choice(0), 0, None, Likelihoods((-3.0, -1.0), (False, True), 4, 2, True), 5), choice(0), None)
    assert (wrong.answer, wrong.correct, wrong.score, wrong.truncated) == ("blue", False, 0.0, True)


def test_lm_eval_judges_its_own() -> None:
    item = choice(harness=HarnessKey("t", 0, "x"))
    row = judged(row_of(item, 0, None, Likelihoods((-3.0, -1.0), (False, True), 4, 2, False), 5), item, None)
    assert (row.answer, row.correct, row.score) == ("blue", None, None)


def test_half_a_character_costs_no_more_than_itself() -> None:
    row = row_of(Item("t", "1", "generate", "?", expected="a"), 0, None, Generated("a\ud83d", 3, 1, False), 5)
    assert row.output == "a?"


def test_a_failed_item_is_neither_right_nor_wrong() -> None:
    row = failed(choice(), 0, None, "HTTP 500:\nout of\x1b[31m memory", 7)
    assert (row.outcome, row.correct, row.answer, row.score) == ("failed", None, None, None)
    assert row.error == "HTTP 500:\\nout of\\x1b[31m memory"
    assert judged(row, choice(), None) == row


@pytest.mark.parametrize(("output", "reading", "answer"), [
    (" Onda\n", Reading(), "Onda"),
    ("\n\n Onda\nand more", Reading(), "Onda"),
    ("<think>Is it Vig?\n</think>\nOnda", Reading(), "Onda"),
    ("<think>Is it Vig?\n</think>\nOnda", Reading(strip_reasoning=False), "<think>Is it Vig?"),
    ("so the answer is: (C) because", Reading(pattern=r"answer is: \((\w)\)"), "C"),
    ("12 or 13", Reading(pattern=r"\d+"), "12"),
    ("no number", Reading(pattern=r"\d+"), None),
    ("", Reading(), ""),
])
def test_the_answer_in_a_text(output: str, reading: Reading, answer: str | None) -> None:
    assert found_in(output, Item("t", "1", "generate", "?", expected="Onda", reading=reading)) == answer


@pytest.mark.parametrize(("body", "verdict"), [("    return x + 2\n", "passed"), ("    return x\n", "failed")])
def test_code_is_judged_by_its_tests(body: str, verdict: str) -> None:
    problem = Problem("1", 'def f(x):\n    """Add 2."""\n', "f", "", "def check(c):\n    assert c(1) == 3\n")
    item = Item("t", "1", "code", problem.prompt, problem=problem)
    row = judged(row_of(item, 0, None, Generated(body, 3, 4, False), 5), item, None)
    assert (row.verdict, row.correct, row.outcome) == (verdict, verdict == "passed", "ok")
