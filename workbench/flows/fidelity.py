"""`validate all`: every comparison whose data is at hand, kept as docs/fidelity.json and shown as docs/fidelity.md."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from workbench import files
from workbench.errors import Failure
from workbench.flows.fidelity_page import ORDER, render
from workbench.flows.fidelity_sections import (
    Section,
    engine_section,
    silicon_section,
    theory_section,
    vllm_section,
)
from workbench.flows.validate import validate
from workbench.flows.validate_theory import REQUESTS, SEEDS, validate_theory
from workbench.profile.profile import read as read_profile
from workbench.runlog.provenance import Machine, now_utc

KIND, SCHEMA = "workbench.fidelity", 1
JSON_NAME, PAGE_NAME = "fidelity.json", "fidelity.md"
VLLM_RUN = {  # inside the folder of public data
    "perf": "llmservingsim/perf/RTXPRO6000/meta-llama/Llama-3.1-8B/bf16",
    "model_config": "llmservingsim/configs/model/meta-llama/Llama-3.1-8B.json",
    "workload": "llmservingsim/workloads/sharegpt-llama-3.1-8b-300-sps10.lengths.jsonl",
    "measured": "llmservingsim/bench/RTXPRO6000/Llama-3.1-8B",
}
Say = Callable[[str], None]


def validate_all(
    docs: Path, *, data: Path | None = None, runs: Path | None = None, silicon_limit: int | None = None,
    seeds: int = SEEDS, requests: int = REQUESTS, only: Collection[str] = ORDER, say: Say = lambda _: None,
) -> dict[str, Any]:
    """Renew what can be renewed, keep the rest, write both files; returns the data.

    `data` is the folder of public measured data, `runs` a folder of the demo with held-out runs and profiles;
    sections that are not in `only` are kept as they are.
    """
    makers: Mapping[str, Callable[[], Section | None]] = {
        "vllm": lambda: _vllm(data), "silicon": lambda: _silicon(silicon_limit), "engine": lambda: _engine(runs),
        "theory": lambda: _theory(seeds, requests),
    }
    commands = {
        "vllm": "workbench validate vllm --perf DATA/" + VLLM_RUN["perf"] + " ...",
        "silicon": "workbench validate silicon" + (f" --limit {silicon_limit}" if silicon_limit else ""),
        "engine": "workbench validate engine RUNS/QUANT/heldout-*.parquet --profile RUNS/QUANT/profile.json",
        "theory": f"workbench validate theory --seeds {seeds} --requests {requests}",
    }
    sections: dict[str, Section] = dict(_before(docs / JSON_NAME))
    for name in (name for name in ORDER if name in only):
        say(f"{name} ...")
        made = makers[name]()
        if made is None:
            kept = f"kept as of {sections[name]['date']}" if name in sections else "left out"
            say(f"{name}: no data at hand, {kept}")
            continue
        sections[name] = made | {"date": now_utc()[:10], "command": commands[name], "machine": asdict(Machine.here())}
    found = {"kind": KIND, "schema": SCHEMA, "sections": {name: sections[name] for name in ORDER if name in sections}}
    write(docs, found)
    return found


def write(docs: Path, data: Mapping[str, Any]) -> None:
    """The data first: a page is never newer than what it shows."""
    files.write_json(docs / JSON_NAME, data)
    files.write_text(docs / PAGE_NAME, render(data))


def _before(path: Path) -> Mapping[str, Section]:
    if not path.is_file():
        return {}
    found = files.read_json(path)
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise Failure(f"{path.name}: its kind should be {KIND!r}; name another folder with --out")
    schema = found.get("schema")
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
        raise Failure(f"{path.name}: schema {schema!r}; this version reads 1 to {SCHEMA}; upgrade the workbench")
    sections: Mapping[str, Section] = found["sections"]
    return sections


def _silicon(limit: int | None) -> Section | None:
    if find_spec("aiconfigurator_core") is None:
        return None
    from workbench.flows.validate_silicon import validate_silicon

    return silicon_section(validate_silicon(limit=limit))


def _engine(runs: Path | None) -> Section | None:
    """Each quantisation's held-out runs, simulated anew."""
    if runs is None:
        return None
    found = []
    for profile in sorted(runs.glob("*/profile.json")):
        held_out = sorted(profile.parent.glob("heldout-*.parquet"))
        if held_out:
            found.append(validate(read_profile(profile), held_out))
    if not found:
        raise Failure(f"{runs.name}: no QUANT/profile.json beside heldout-*.parquet; name a folder of `workbench demo`")
    return engine_section(found)


def _theory(seeds: int, requests: int) -> Section:
    return theory_section(validate_theory(seeds=seeds, requests=requests))


def _vllm(data: Path | None) -> Section | None:
    if data is None or not all((data / place).exists() for place in VLLM_RUN.values()):
        return None
    from workbench.flows.validate_vllm import validate_vllm

    places = {name: data / place for name, place in VLLM_RUN.items()}
    return vllm_section(validate_vllm(
        places["perf"], places["model_config"], places["workload"], places["measured"], ablation=True))
