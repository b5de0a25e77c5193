"""`workbench profile measure`: a profile of any OpenAI endpoint."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, json_option, note, progress


@click.command()
@click.option("--url", required=True, help="Endpoint to measure, such as http://127.0.0.1:8080 (with or without /v1).")
@click.option("--model", required=True, help="Model name at the endpoint.")
@click.option("--concurrency", help="Sequences decoded together, such as 1,2,4,8 (the default).")
@click.option("--prompts-tok", help="Prompt lengths measured alone (default: 16,128,512,1024).")
@click.option("--contexts-tok", help="Contexts that decodes are measured at (default: 32,512).")
@click.option("--output-tok", type=int, help="Tokens that each decode makes (default: 32).")
@click.option("--repeats", type=int, help="How often each point is measured (default: 3).")
@click.option("--api", type=click.Choice(["completions", "chat"]), help="API of the endpoint (default: completions).")
@click.option("--tokenizer", help="tokenizer.json of the model: prompts of exact length.")
@click.option("--api-key-env", metavar="VAR", help="Environment variable that holds the API key.")
@click.option("--ignore-eos", is_flag=True, help="Ask the endpoint to go on to --output-tok (llama.cpp, vLLM, SGLang).")
@click.option("--allow-plain-http", is_flag=True, help="Send the API key over http to another machine.")
@click.option("--timeout-s", type=float, help="Give up on a request after so many seconds (default: 600).")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for logs and profile.json "
              "(default: runs/profile-TIME).")
@json_option
def measure(out: Path | None, as_json: bool, **flags: Any) -> None:
    """Measure a profile of an OpenAI endpoint: prompts alone, then waves of decodes; engine and network together.

    \b
    Example:
      workbench profile measure --url http://127.0.0.1:8080 --model m --concurrency 1,2,4,8 --ignore-eos
    """
    from workbench.cli.profile_tables import profile_tables
    from workbench.config import validate
    from workbench.flows.bench_spec import TargetSpec
    from workbench.flows.profile_measure import Design, measure
    from workbench.paths import shown, stamped
    from workbench.profile.figures import as_json as content

    given = {name: value for name, value in flags.items() if value is not None and value is not False}
    asked: dict[str, Any] = {name: given.pop(name) for name in ("output_tok", "repeats") if name in given}
    asked |= {name: numbers(name, given.pop(name)) for name in ("concurrency", "prompts_tok", "contexts_tok")
              if name in given}
    design = Design(**asked)
    folder = out or stamped("profile")
    with progress(1, "measuring") as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done)

        found = measure(validate(TargetSpec, given, "profile measure"), design, folder, folder / "profile.json",
                        on_progress=advance)
    note(f"wrote {shown(folder / 'profile.json')}")
    emit({**content(found), "out": shown(folder / "profile.json")}, as_json, lambda: profile_tables(found))


def numbers(name: str, text: str) -> tuple[int, ...]:
    """`1,2,4` as numbers; raises UsageError naming the option."""
    from workbench.errors import UsageError

    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--{name.replace('_', '-')}: {text!r}: give whole numbers, such as 1,2,4,8") from None
