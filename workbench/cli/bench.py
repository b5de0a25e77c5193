"""`workbench bench`: measure an endpoint, or one of our engines."""

from pathlib import Path
from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note, progress


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--url", help="Endpoint to measure, such as http://127.0.0.1:8080 (with or without /v1).")
@click.option("--engine", help="Or: an engine to start, such as llama.cpp, or ./mine.py:ENGINE.")
@click.option("--model", help="Model name at the endpoint; with --engine: a shipped model or a file.")
@click.option("--quant", help="With --engine: quantisation, such as Q4_0.")
@click.option("--api", type=click.Choice(["completions", "chat"]), help="API of the endpoint (default: completions).")
@click.option("--tokenizer", help="tokenizer.json of the model: prompts of exact length.")
@click.option("--api-key-env", metavar="VAR", help="Environment variable that holds the API key.")
@click.option("--rate", type=float, help="Open loop: Poisson arrivals, requests per second.")
@click.option("--concurrency", type=int, help="Closed loop: this many requests in flight.")
@click.option("--requests", type=int, help="How many requests to send.")
@click.option("--input-tok", type=int, help="Prompt length in tokens.")
@click.option("--output-tok", type=int, help="Output length in tokens.")
@click.option("--warmup-requests", type=int, help="The first so many count in no metric.")
@click.option("--ignore-eos", is_flag=True, help="Ask the endpoint to go on to --output-tok (llama.cpp, vLLM, SGLang).")
@click.option("--allow-plain-http", is_flag=True, help="Send the API key over http to another machine.")
@click.option("--timeout-s", type=float, help="Give up on a request after so many seconds (default: 600).")
@click.option("--workers", type=int, help="Processes that send (default: 1; one sends 50,000 tokens/s and more).")
@click.option("--seed", type=int, help="Seed of arrivals and lengths (default: 0).")
@click.option("--via", "client", type=click.Choice(["vllm", "guidellm"]), help="Run a foreign client, too, between two "
              "runs of ours, and say how far apart they are.")
@click.option("--via-python", type=click.Path(path_type=Path), help="Python that has the foreign client.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write (default: runs/bench-TIME).")
@json_option
def command(file: Path | None, out: Path | None, client: str | None, via_python: Path | None, as_json: bool,
            **flags: Any) -> None:
    """Measure a bench FILE, or what the options describe: a run log, its summary, and a table.

    \b
    Examples:
      workbench bench --engine llama.cpp --model tiny-27m --quant Q4_0 --rate 4 --requests 100 \\
                      --input-tok 64 --output-tok 32
      workbench bench --url http://127.0.0.1:8080 --model m --concurrency 4 --requests 50 \\
                      --input-tok 256 --output-tok 64 --json
      workbench init bench && workbench bench bench.toml
      workbench bench --via vllm --engine vllm-cpu --model tiny --concurrency 2 --requests 40 \\
                      --input-tok 64 --output-tok 32
    """
    from workbench.config import parse, read_text, validate
    from workbench.errors import UsageError
    from workbench.flows.bench import bench, default_folder
    from workbench.flows.bench_spec import BenchSpec

    given = {name: value for name, value in flags.items() if value is not None and value is not False}
    own = None
    if file is not None:
        if given:
            raise UsageError(f"--{next(iter(given)).replace('_', '-')}: options are not mixed with a file; edit {file}")
        text = read_text(file)
        spec = parse(BenchSpec, text, file.name)
    else:
        text = ""
        spec = validate(BenchSpec, from_flags(given), "bench")
        if ".py:" in given.get("engine", ""):
            from engines import from_command_line

            own = from_command_line(given["engine"])
    folder = out or default_folder()
    base = file.resolve().parent if file is not None else None
    if client is not None:
        _via(client, spec, folder, base, own, via_python, as_json)
        return
    with progress(1, "sending") as shown:

        def advance(done: int, total: int) -> None:
            shown.total = total
            shown.update(done)

        done = bench(spec, folder, base=base, config_text=text, engine=own, on_progress=advance, note=note)
    for reason in done.log.provenance.client.get("reasons", []):
        note(f"client_limited: {reason}")
    emit(done.summary, as_json, lambda: _text(done.summary, done.log.provenance.as_dict()))


def from_flags(given: dict[str, Any]) -> dict[str, Any]:
    """The bench file that the options stand for; raises UsageError naming the option that is missing or wrong."""
    from workbench.errors import UsageError

    if ("url" in given) == ("engine" in given):
        raise UsageError("give --url or --engine, one of the two (or a bench file); `workbench bench --help`")
    if ("rate" in given) == ("concurrency" in given):
        raise UsageError("give --rate or --concurrency, one of the two")
    for name in (*(["model"] if "url" in given else []), "requests", "input_tok", "output_tok"):
        if name not in given:
            raise UsageError(f"--{name.replace('_', '-')} is missing")
    for name in ("rate", "concurrency", "requests", "input_tok", "output_tok", "timeout_s"):
        if name in given and not given[name] > 0:
            raise UsageError(f"--{name.replace('_', '-')}: {given[name]}: must be above 0")
    place = ("url", "model", "api", "api_key_env", "tokenizer", "timeout_s", "ignore_eos", "allow_plain_http")
    ours = ("model", "quant", "timeout_s")
    chosen, other = (place, ours) if "url" in given else (ours, place)
    for name in other:
        if name in given and name not in chosen:
            needed = "--engine" if "url" in given else "--url"
            raise UsageError(f"--{name.replace('_', '-')} goes with {needed}")
    table = {name: given[name] for name in chosen if name in given}
    arrivals = {"kind": "poisson", "rate_per_s": given["rate"]} if "rate" in given else {"kind": "closed"}
    return {
        **({"target": table} if "url" in given else {"engine": table | {"name": given["engine"]}}),
        "workload": {
            "arrivals": arrivals, "requests": given["requests"], "warmup_requests": given.get("warmup_requests", 0),
            "prompt_tok": {"kind": "fixed", "tok": given["input_tok"]},
            "output_tok": {"kind": "fixed", "tok": given["output_tok"]},
        },
        **{name: given[name] for name in ("concurrency", "seed") if name in given},
    }


def _via(client: str, spec: Any, folder: Path, base: Path | None, own: Any, python: Path | None, as_json: bool) -> None:
    from workbench import paths
    from workbench.flows.sweeps.foreign import named, via

    paths.refuse_used(folder)
    found = via(spec, client, python, folder, base=base, engine=own, note=note)

    def text() -> Any:
        from rich.table import Table

        table = Table("", "ours", "ours, their definition", client, "as printed", "corrected", "ours twice", box=None)
        for row in named(found):
            table.add_row(*map(escape, row))
        return table

    emit(found, as_json, text)
    if any(found["client_limited"]):
        note("client_limited: one of our two runs was; the machine is too busy to compare clients")


def _text(summary: dict[str, Any], provenance: dict[str, Any]) -> Any:
    from rich.console import Group

    from workbench.cli.tables import summary_table

    lengths = summary["lengths"]
    said = [f"prompts: {lengths['method']}; {_length(lengths['prompt_tok'])}"]
    said.append(f"outputs: {_length(lengths['output_tok'])}")
    said += _prefix(summary["prefix"])
    client = "client_limited" if summary["client"]["client_limited"] else "not the limit"
    said.append(f"client: {client}; log: {summary['run']}")
    return Group(summary_table(summary, provenance), *(escape(line) for line in said))


def _prefix(found: dict[str, Any]) -> list[str]:
    """Nothing where the server tells nothing and nothing was shared."""
    if found["hit_frac"] is None and not found["shared_on_purpose"]:
        return []
    told = "not told by the server" if found["hit_frac"] is None else f"{found['hit_frac']:.1%} of prompt tokens"
    ideal = found["ideal_hit_frac"]
    asked = f"{ideal:.1%} were shared on purpose" if ideal is not None else "nothing was shared on purpose"
    return [f"found in the prefix cache: {told} ({asked})"]


def _length(found: dict[str, Any]) -> str:
    if not found["n"]:
        return "lengths not reported by the server"
    spread = f"{found['min']} to {found['max']}" if found["min"] != found["max"] else f"{found['min']}"
    return f"{spread} tokens (asked {found['asked_mean']:.6g}, worst off by {found['worst_miss']})"
