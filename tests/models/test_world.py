"""The world is the same everywhere, and what tasks ask was never in a training document."""

import hashlib
from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.models import tasks
from workbench.models.documents import Documents
from workbench.models.draw import Draw, digest
from workbench.models.functions import FAMILIES, NAMES, Function, functions, held_out
from workbench.models.world import World

GOLDEN = {
    "facts": "1c0cd72fd0b395d9",
    "documents": "5c6450b9e2fce72e",
    "cloze": "b7cf3556ba93e87a",
    "four_choice": "9cab2a10fc386497",
    "questions": "5d879499eb46527c",
    "code": "331a2f93ea7fb801",
    "text": "69664449bbc46daa",
}


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def training_texts(world: World) -> list[str]:
    """The beginning of the very stream that the shipped model was trained on."""
    stream = Documents(world, "training", 0)
    return [stream.next().text for _ in range(12_000)]


def test_world_tasks_and_documents_never_change(world: World) -> None:
    """They are settled for good: the shipped weights know this world and no other."""
    stream = Documents(world, "training", 0)
    everything = {
        "facts": world.facts, "documents": [stream.next() for _ in range(500)], "cloze": tasks.cloze(world),
        "four_choice": tasks.four_choice(world), "questions": tasks.questions(world), "code": tasks.code(),
        "text": tasks.held_out_text(world),
    }
    found = {name: hashlib.sha256(repr(part).encode()).hexdigest()[:16] for name, part in everything.items()}
    assert found == GOLDEN


def test_draw_is_splitmix64() -> None:
    """The published first outputs for state 1234567."""
    draw = Draw()
    draw._state = 1234567
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert [draw._next() for _ in expected] == expected


@given(st.integers(), st.integers(1, 1000))
def test_draw_stays_in_range_and_shuffles_keep_everything(seed: int, bound: int) -> None:
    draw = Draw(seed)
    assert all(0 <= draw.below(bound) < bound for _ in range(20))
    assert sorted(draw.shuffled(range(bound))) == list(range(bound))
    assert 0 <= draw.unit() < 1


def test_digest_does_not_depend_on_the_process() -> None:
    assert digest("sentence", "Klidaton", "river") == 6003467223821817520


def test_no_name_begins_another(world: World) -> None:
    names = [*world.values["rivers"], *world.values["lands"], *(n for ns in world.entities.values() for n in ns)]
    assert not any(a.startswith(b) or b.startswith(a) for a, b in combinations(names, 2))


def test_cloze_sentences_were_never_trained_on(world: World, training_texts: list[str]) -> None:
    joined = "\n".join(training_texts)
    assert not [task.prompt for task in tasks.cloze(world) if f"{task.prompt}{task.choices[task.answer]}." in joined]
    # a mutant that takes a trained phrasing is found out
    fact = world.facts[0]
    head, tail = fact.sentence(fact.sentence_phrasings(held_out=False)[0])
    assert f"{head} {tail}" in joined


def test_four_choice_questions_were_never_trained_on(world: World, training_texts: list[str]) -> None:
    joined = "\n".join(training_texts)
    assert not [task.question for task in tasks.four_choice(world) if task.question in joined]
    fact = world.facts[0]
    assert fact.question(fact.question_phrasings(held_out=False)[0]) in joined


def test_code_parameters_were_never_trained_on(training_texts: list[str]) -> None:
    joined = "\n".join(training_texts)
    assert not [task.task_id for task in tasks.code() if task.prompt.split("\n", 1)[1] in joined]
    assert {f.parameter for f in functions(for_test=True) if f.family.name == "add"}.isdisjoint(
        f.parameter for f in functions(for_test=False) if f.family.name == "add")
    assert functions(for_test=False)[0].header(0, "f").split("\n", 1)[1] in joined


def test_held_out_text_shares_no_sentence_with_training(world: World, training_texts: list[str]) -> None:
    trained = {line for text in training_texts for line in text.replace(". ", ".\n").splitlines()}
    sentences = {line for text in tasks.held_out_text(world) if text.count(". ") and "Question" not in text
                 for line in text.replace(". ", ".\n").splitlines() if line.endswith(".")}
    assert len(sentences) > 100
    assert sentences.isdisjoint(trained)


def test_answers_of_documents_are_marked(world: World) -> None:
    stream = Documents(world, 3)
    for _ in range(300):
        document = stream.next()
        assert document.answers
        assert all(0 <= start < end <= len(document.text) for start, end in document.answers)
        assert all(a[1] <= b[0] for a, b in zip(document.answers, document.answers[1:], strict=False))


def test_four_choice_has_the_right_answer_among_four_values(world: World) -> None:
    for task, fact in zip(tasks.four_choice(world), world.facts, strict=True):
        assert len(set(task.choices)) == 4
        assert task.choices[task.answer] == fact.value
    positions = [task.answer for task in tasks.four_choice(world)]
    assert min(positions.count(place) for place in range(4)) > 50  # always answering "A" is worth no more than chance


def defined(source: str, name: str) -> Callable[..., object]:
    namespace: dict[str, Callable[..., object]] = {}
    exec(source, namespace)  # our own canonical solutions and tests
    return namespace[name]


def verdict(check: Callable[..., object], candidate: Callable[..., object]) -> bool:
    try:
        check(candidate)
    except (AssertionError, ValueError):
        return False
    return True


def test_canonical_solutions_pass_and_every_other_parameter_fails() -> None:
    by_id = iter(tasks.code())
    for family in FAMILIES:
        solved = {parameter: family.solve(parameter) for parameter in family.parameters}
        for parameter in (p for p in family.parameters if held_out(family, p)):
            for doc in range(len(family.docs)):
                task = next(by_id)
                assert task.prompt == Function(family, parameter).header(doc, task.entry_point)
                assert task.entry_point in NAMES
                check = defined(task.test, "check")
                assert verdict(check, defined(task.prompt + task.canonical_solution, task.entry_point))
            passing = [p for p, candidate in solved.items() if verdict(check, candidate)]
            assert passing == [parameter], f"{family.name} {parameter}: its tests are passed by {passing}"
