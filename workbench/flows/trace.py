"""`sim trace`: play a simulated run again, iteration by iteration, and write it as a timeline that Perfetto opens."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sims.result import SimResult
from sims.scenario import Scenario
from workbench import paths
from workbench.config import parse, read_text
from workbench.errors import Failure, UsageError
from workbench.files import atomic
from workbench.flows.replicate import Case
from workbench.flows.trace_events import events
from workbench.profile import profile as profiles
from workbench.redact import redact
from workbench.runlog.table import RunLog, read

TIMES = ("sent_ns", "admit_ns", "start_ns", "first_token_ns", "last_token_ns", "end_ns")


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the run to show, in seconds of its clock."""

    from_s: float = 0.0
    to_s: float | None = None

    def __post_init__(self) -> None:
        if self.from_s < 0 or (self.to_s is not None and self.to_s <= self.from_s):
            raise UsageError(f"--from {self.from_s:g} --to {self.to_s}: a part of the run has a beginning of at least "
                             "0 and a later end")


def trace(
    run: Path, out: Path, *, seed: int | None = None, scenario: Path | None = None, window: Window | None = None
) -> dict[str, Any]:
    """Write the timeline of one seed of a folder that `sim run` wrote; returns what was written.

    The run is simulated again from the scenario and profile kept beside its logs (or from `scenario`, where its
    workload reads files), with the plain per-iteration replica, and must give the log's times to the nanosecond.
    """
    log_path = _log(run, seed)
    log = read(log_path)
    if log.provenance.world != "simulated":
        raise UsageError(f"{log_path.name}: a measured run has no iterations to show; give a folder of `sim run`")
    case = _case(log_path.parent, scenario, log)
    number = log.provenance.seeds["schedule"]
    result, _ = case.simulate(case.draw(number), number, keep_journal=False, keep_iterations=True)
    _same(log, result, log_path.name)
    window = window or Window()
    end_ns = result.stop_ns if window.to_s is None else round(window.to_s * 1e9)
    found = list(events(result, case.rules, round(window.from_s * 1e9), end_ns))
    about = {"scenario": case.scenario.title or case.name, "seed": number, "profile_sha256": case.profile.sha256,
             "profile_source": case.profile.source, "origin": "simulated", "shown_from_s": window.from_s,
             "shown_to_s": end_ns / 1e9}
    _write(out, found, about)
    slices = [item for item in found if item["ph"] == "X"]
    return about | {
        "out": paths.shown(out), "bytes": out.stat().st_size, "events": len(found), "slices": len(slices),
        "iterations": sum(item["args"]["iterations"] for item in slices),
        "requests": len({item["id"] for item in found if item["ph"] == "b"}),
    }


def _log(run: Path, seed: int | None) -> Path:
    if run.is_file():
        return run
    found = sorted(run.glob("seed-*.parquet"), key=lambda path: (len(path.name), path.name))
    if not found:
        raise UsageError(f"{run}: no seed-N.parquet in it; give a folder that `workbench sim run` wrote")
    if seed is None:
        return found[0]
    wanted = run / f"seed-{seed}.parquet"
    if wanted not in found:
        raise UsageError(f"{run.name}: no seed {seed}; it has {', '.join(path.stem for path in found)}")
    return wanted


def _case(folder: Path, scenario: Path | None, log: RunLog) -> Case:
    """What the log was made from, checked by its hashes."""
    if scenario is not None:
        case = Case.load(scenario)
    else:
        text = read_text(folder / "scenario.toml")
        parsed = parse(Scenario, text, "scenario.toml")
        profile = profiles.read(folder / "profile.json")
        case = Case.made(parsed, profile, folder, "scenario.toml", text)
    if redact(case.text) != log.provenance.config_text:
        raise UsageError(f"{case.name}: not the scenario that this run was made from; give its own with --scenario")
    if case.profile.sha256 != log.provenance.profile_sha256:
        raise UsageError(f"{case.name}: fleet.profile: not the profile that this run was made from")
    return case


def _same(log: RunLog, result: SimResult, name: str) -> None:
    for column in TIMES:
        if not log.table.column(column).equals(result.log.table.column(column)):
            raise Failure(f"{name}: simulating it again gives other times ({column}): it was made by another version "
                          "of the workbench; run the scenario again")


def _write(out: Path, found: list[dict[str, Any]], about: dict[str, Any]) -> None:
    """One event a line; `.gz` is packed, which Perfetto opens as well."""
    with atomic(out) as temporary:
        text = "".join(_lines(found, about)).encode()
        temporary.write_bytes(gzip.compress(text, mtime=0) if out.name.endswith(".gz") else text)


def _lines(found: list[dict[str, Any]], about: dict[str, Any]) -> Iterator[str]:
    yield '{"displayTimeUnit": "ms", "otherData": ' + json.dumps(about) + ', "traceEvents": [\n'
    for i, item in enumerate(found):
        yield json.dumps(item, separators=(",", ":")) + (",\n" if i + 1 < len(found) else "\n")
    yield "]}\n"
