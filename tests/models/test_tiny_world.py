"""The data set that ships is what the code makes."""

import json

from workbench.models import tasks, tiny_world
from workbench.models.world import World
from workbench.paths import datasets

FOLDER = datasets() / "tiny_world"


def test_the_files_are_what_the_code_makes() -> None:
    made = tiny_world.files()
    assert {path.name for path in FOLDER.iterdir()} == set(made)
    for name, text in made.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"{name}: workbench quality tiny-world makes it"


def test_rows_say_what_the_tasks_say() -> None:
    read = {path.stem: [json.loads(line) for line in path.read_text().splitlines()] for path in FOLDER.glob("*.jsonl")}
    world = World()
    assert [row["choices"][row["answer"]] for row in read["cloze"]] == [f" {fact.value}" for fact in world.facts]
    assert [row["choices"][row["answer"]] for row in read["four_choice"]] == [fact.value for fact in world.facts]
    assert [row["prompt"] + row["canonical_solution"] for row in read["code"]] == [
        item.prompt + item.canonical_solution for item in tasks.code()]
    assert all(len({row["task_id"] for row in rows}) == len(rows) for rows in read.values())
    assert len({row["subject"] for row in read["four_choice"]}) > 10
