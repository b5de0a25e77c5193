"""What README, docs and help texts show is true: commands parse, code runs, tables load, make targets exist."""

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import click
import pytest

from sims.scenario import FleetSpec
from workbench.cli.main import COMMANDS, cli
from workbench.config import validate
from workbench.control.money.price_book import PriceBook
from workbench.control.plane.build import plane_of
from workbench.control.tenants.book import Tenants
from workbench.errors import UsageError
from workbench.flows.sweeps.spec import LoadSpec
from workbench.paths import root
from workbench.quality.task_spec import TaskSpec
from workbench.report import arguments, library
from workbench.workload.spec import WorkloadSpec

TOP = root() or Path()
PAGES = [TOP / "README.md", *sorted((TOP / "docs").glob("*.md")), *sorted((TOP / "docs/control").glob("*.md")),
         *sorted((TOP / "docs/economics").glob("*.md")), *sorted((TOP / "docs/quality").glob("*.md")),
         *sorted((TOP / "docs/engines").glob("*.md")), TOP / "datasets/models/tiny/README.md",
         TOP / "datasets/measured/README.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(?:\.venv/bin/)?workbench ([a-z][^`]*)`")


def blocks(kind: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found, text in FENCE.findall(page.read_text(encoding="utf-8")):
            if found == kind:
                yield page.name, text


def command_lines(text: str) -> Iterator[list[str]]:
    """The words behind `workbench` of every command in a block; `a && b` are two, comments none."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in line.partition("#")[0].split("&&"):
            words = shlex.split(part)
            if words and words[0].endswith("workbench"):
                yield words[1:]


def shown() -> Iterator[tuple[str, list[str]]]:
    """Every full command line that a page or a help text shows."""
    for kind in ("", "bash", "text"):
        for page, text in blocks(kind):
            for words in command_lines(text):
                yield page, words
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        inner = list(command.commands.values()) if isinstance(command, click.Group) else []
        for item in (command, *inner):
            _, _, example = (item.help or "").partition("Example")
            for words in command_lines(example):
                yield f"help of {name}", words


def parse(words: list[str]) -> None:
    """Parse a command line as the program would, without running it."""
    command: click.Command = cli
    context = click.Context(cli, **cli.context_settings)
    rest = words
    while isinstance(command, click.Group) and (rest or not command.invoke_without_command):
        if command.invoke_without_command and rest[0].startswith("-"):
            break  # the group's own options
        try:
            _, found, rest = command.resolve_command(context, list(rest)) if rest else (None, None, rest)
        except click.UsageError:
            found = None
        assert found is not None, f"no such command: workbench {' '.join(words)}"
        command = found
    command.make_context(words[0], list(rest), parent=context)


@pytest.mark.parametrize("words", [words for _, words in shown()], ids=" ".join)
def test_shown_commands_parse(words: list[str]) -> None:
    if {"--help", "--version"} & set(words) or not words:
        return
    parse(words)


def test_a_wrong_command_would_be_found() -> None:
    with pytest.raises(click.UsageError, match="No such option"):
        parse(["plan", "plan.toml", "--cheapest"])
    with pytest.raises(AssertionError, match="no such command"):
        parse(["sim", "walk"])


def test_parameters_of_notebooks_that_are_shown_exist() -> None:
    """`report run NAME -p KEY=VALUE`: its notebook takes them."""
    asked = [words for _, words in shown() if words[:2] == ["report", "run"] and "-p" in words]
    assert len(asked) >= 2
    for _, _, name, *rest in asked:
        given = arguments.parse([value for flag, value in pairwise(rest) if flag == "-p"])
        arguments.checked(name, library.parameters(library.build(library.source(name))), given)
    with pytest.raises(UsageError, match="replics: unknown parameter; did you mean 'replicas'"):
        arguments.checked("ch12", library.parameters(library.build(library.source("ch12"))), {"replics": 4})


def test_commands_named_in_prose_exist() -> None:
    context = click.Context(cli)
    for page in PAGES:
        for text in INLINE.findall(page.read_text(encoding="utf-8")):
            words = text.split()
            command = cli.get_command(context, words[0])
            assert command is not None, f"{page.name}: workbench {text}"
            if isinstance(command, click.Group) and len(words) > 1 and words[1].isalpha():
                names = [part for part in re.split(r"[|\s]+", text) if part.isalpha() and part.islower()][1:2]
                assert all(name in command.commands for name in names), f"{page.name}: workbench {text}"


@pytest.mark.parametrize(("page", "text"), list(blocks("python")))
def test_python_blocks_run(page: str, text: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, f"{page}: {done.stderr}"


@pytest.mark.parametrize(("page", "text"), list(blocks("toml")))
def test_toml_blocks_load(page: str, text: str) -> None:
    """A block shows a workload, part of a scenario's fleet or control plane, tenants, prices, a suite's tasks, or the
    load of a sweep."""
    found = tomllib.loads(text)
    if "tiers" in found:
        Tenants.from_facts(found)
    elif "prices" in found:
        PriceBook.from_facts(found["prices"])
    elif "control" in found:
        plane_of(found["control"])
    elif "fleet" in found:
        validate(FleetSpec, {"profile": "example-cpu-q8_0"} | found["fleet"], page)
    elif "task" in found:
        assert all(validate(TaskSpec, item, page) for item in found["task"])
    elif "load" in found:
        validate(LoadSpec, found["load"], page)
    else:
        validate(WorkloadSpec, found["workload"], page)


def test_make_targets_that_are_shown_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
        assert named <= targets, page.name


def test_the_table_of_interfaces_names_files_that_are_there() -> None:
    text = (TOP / "docs/control/index.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| `.*? \| (`\S+\.py`(?:, `\S+\.py`)*) \|", text, re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`(\S+\.py)`", cell)]
    assert len(cells) >= 19
    assert not [name for name in named if not (TOP / name).is_file()]
