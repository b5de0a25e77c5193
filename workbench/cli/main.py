"""The command line: a dict of lazily loaded commands, and the one place where an error becomes one line."""

import importlib
import os
import signal
import sys
from typing import Any

import click

from workbench import __version__
from workbench.errors import WorkbenchError

# command -> module:attribute; loaded only when it is run or its help is shown
COMMANDS: dict[str, str] = {
    "demo": "workbench.cli.demo:command",
    "bench": "workbench.cli.bench:command",
    "sweep": "workbench.cli.sweep:group",
    "profile": "workbench.cli.profile:group",
    "sim": "workbench.cli.sim:group",
    "journal": "workbench.cli.journal:group",
    "compare": "workbench.cli.compare:command",
    "validate": "workbench.cli.validate:command",
    "memory": "workbench.cli.memory:command",
    "plan": "workbench.cli.plan:command",
    "cost": "workbench.cli.cost:command",
    "capacity": "workbench.cli.capacity:command",
    "business": "workbench.cli.business:command",
    "claims": "workbench.cli.claims:command",
    "calculators": "workbench.cli.calculators:command",
    "report": "workbench.cli.report:group",
    "chapters": "workbench.cli.chapters:group",
    "lab": "workbench.cli.lab:command",
    "runs": "workbench.cli.runs:group",
    "models": "workbench.cli.models:group",
    "quality": "workbench.cli.quality:group",
    "quantise": "workbench.cli.quantise:command",
    "convert": "workbench.cli.convert:command",
    "engines": "workbench.cli.engines:group",
    "doctor": "workbench.cli.doctor:command",
    "init": "workbench.cli.init:command",
    "data": "workbench.cli.data:group",
    "docs": "workbench.cli.docs:group",
}
INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose commands are imported by name when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "`workbench --help` lists the commands"
            raise click.UsageError(f"no such command {args[0]!r}; {hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"max_content_width": 100})
@click.version_option(__version__, prog_name="workbench")
def cli() -> None:
    """Measure real LLM engines, simulate the control plane on what was measured, price the answer.

    \b
    Example:
      workbench demo                 # the whole chain on this machine, in about five minutes
      workbench bench --help         # one step of it
    """


def main(argv: list[str] | None = None) -> None:
    """Run a command; exits 0, 1 (failure), 2 (usage) or 130 (interrupted): one line, never a traceback."""
    signal.signal(signal.SIGTERM, _as_interrupt)  # a polite kill keeps what was measured, like Ctrl-C
    try:
        cli.main(args=argv, prog_name="workbench", standalone_mode=False)
    except WorkbenchError as error:
        _fail(str(error), error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), 2 if isinstance(error, click.UsageError) else 1)
    except (KeyboardInterrupt, click.Abort):
        _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader of our output went away: not our failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:  # what no layer below could name better: full disk, no permission
        if os.environ.get("WORKBENCH_DEBUG"):
            raise
        _fail(f"{error.filename or 'system'}: {error.strerror or error}", 1)
    except MemoryError:
        _fail("out of memory; ask for less at once", 1)
    except Exception as error:
        if os.environ.get("WORKBENCH_DEBUG"):
            raise
        _fail(f"{type(error).__name__}: {error}; this is a bug: WORKBENCH_DEBUG=1 shows where", 1)


def _as_interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> None:
    from workbench.cli.common import plain
    from workbench.redact import redact

    sys.stdout.flush()
    sys.stderr.write("workbench: " + " ".join(plain(redact(message)).split()) + "\n")
    raise SystemExit(code)
