"""Every command explains itself, quickly, with an example; the committed docs say the same."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from workbench.cli.main import COMMANDS, cli
from workbench.paths import root

HEAVY = ("numpy", "pandas", "pyarrow", "scipy", "pydantic", "matplotlib", "plotly")


def every_command() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli, **cli.context_settings)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for sub, inner in command.commands.items():
                yield f"{name} {sub}", inner


@pytest.mark.parametrize("name", [name for name, _ in every_command()])
def test_help_has_an_example(name: str) -> None:
    command = dict(every_command())[name]
    text = command.help or ""
    assert "Example" in text, f"workbench {name} --help shows no example"
    assert f"workbench {name.split()[0]}" in text
    assert len(command.get_short_help_str(200)) > 10


def test_help_and_version_load_nothing_heavy() -> None:
    """All help texts and the version in one process; what it imported is what they cost."""
    lines = [["--version"], ["--help"], *[[*name.split(), "--help"] for name, _ in every_command()]]
    script = (
        "import sys\nfrom workbench.cli.main import main\n"
        f"for words in {lines!r}:\n"
        "    try:\n        main(words)\n    except SystemExit as end:\n        assert not end.code, (words, end.code)\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_committed_pages_are_current() -> None:
    from workbench.flows.docs import pages

    top = root()
    assert top is not None
    for name, text in pages(cli).items():
        target = top / "docs" / name
        assert target.is_file(), f"docs/{name} is missing; run `workbench docs build`"
        assert target.read_text(encoding="utf-8") == text, f"docs/{name} is out of date; run `workbench docs build`"


def test_the_readme_shows_the_example_reports_numbers() -> None:
    from workbench.flows.readme import filled

    top = root()
    assert top is not None
    readme = (top / "README.md").read_text(encoding="utf-8")
    assert "| Q4_0 |" in readme
    assert filled(readme, top) == readme, "run `workbench docs build`"
    assert filled(readme.replace("| Q4_0 |", "| Q9_9 |"), top) == readme, "a typed number would be found"


def test_commands_that_print_figures_take_json() -> None:
    silent = {"init", "docs build", "lab"}  # none of them has figures
    for name, command in every_command():
        if isinstance(command, click.Group) or name in silent:
            continue
        assert any(option.name == "as_json" for option in command.params), f"workbench {name} has no --json"
