"""`sweep show`: what a point ran, word for word, and a bench file that measures it again."""

import json
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.files import read_json
from workbench.flows.sweeps.points import Point
from workbench.flows.sweeps.spec import SweepSpec
from workbench.flows.sweeps.store import POINT, Row, read_point

FILE = "sweep.toml"


def show_point(path: Path) -> dict[str, Any]:
    """Command, bench file and row. `path`: the point's folder, or the sweep's and the beginning of the point's name."""
    folder = _found(path)
    row = read_point(folder)
    point = Point.from_dict(row["asked"])
    sweep = folder.parent.parent
    environment = sweep / "environments" / Path(str(row.get("environment") or "-")).name
    return {
        "id": row["id"], "status": row["status"], "failure": row["failure"],
        "command": _command(row["fingerprint"].get("command"), point), "bench_toml": _bench(sweep / FILE, point),
        "fingerprint": row["fingerprint"], "started_at_utc": row.get("started_at_utc"),
        "environment": read_json(environment) if environment.is_file() else None,
    }


def _found(path: Path) -> Path:
    if (path / POINT).is_file():
        return path
    points = path.parent / "points"
    found = sorted(item for item in points.glob("*") if item.name.startswith(path.name) and (item / POINT).is_file()) \
        if points.is_dir() else []
    if len(found) != 1:
        names = ", ".join(item.name for item in found[:4])
        remedy = f" ({names} ...); say more of the name" if found else \
            "; name a point's folder, or SWEEP-FOLDER/BEGINNING-OF-ITS-NAME"
        raise UsageError(f"{path}: {len(found)} points are called so{remedy}")
    return found[0]


def _command(words: Any, point: Point) -> str | None:
    """Of an engine with a command of its own; PORT, KEY, MODEL, HOST and PRIVATE stand for what a launch chooses."""
    if not isinstance(words, list) or not words or words[0] in ("endpoint", point.setting.engine):
        return None
    program = ["python"] if words[0].startswith("-") else []
    return shlex.join([*program, *map(str, words)])


def _bench(file: Path, point: Point) -> str | None:
    """The same measurement as `workbench bench FILE`; None where the sweep's file does not lie beside its points."""
    try:
        spec = SweepSpec.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
        workload = spec.drawn_from(point.workload, point.rate_per_s).model_dump(mode="json", exclude_none=True)
    except (OSError, ValueError, StopIteration, Failure, UsageError):
        return None
    setting = point.setting
    engine = {"name": setting.engine, **({"model": setting.model} if setting.model else {}),
              **({"quant": setting.quant} if setting.quant else {}), "timeout_s": setting.timeout_s,
              "options": setting.asked}
    top = {"seed": point.seed, **({"concurrency": point.concurrency} if point.concurrency else {}),
           "engine": engine, "workload": workload}
    return toml_text(top)


def toml_text(value: Mapping[str, Any]) -> str:
    """A mapping of plain values as TOML: two levels of tables, what is deeper in one line."""
    plain = {key: item for key, item in value.items() if not isinstance(item, Mapping)}
    lines = [f"{_key(key)} = {_value(item)}" for key, item in plain.items()]
    for key, table in value.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{_key(key)}]", *(f"{_key(name)} = {_value(item)}" for name, item in table.items())]
    return "\n".join(lines).strip() + "\n"


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").replace("-", "").isalnum() else _value(name)


def _value(value: Any) -> str:
    """JSON's strings, numbers and booleans are TOML's, but for one control character."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")


def text(found: Row) -> str:
    """For people."""
    lines = [f"# {found['id']}: {found['status']}, {found['started_at_utc']}"]
    if found["failure"]:
        lines.append(f"# {found['failure']['kind']}: {found['failure']['message']}")
    version = found["fingerprint"].get("engine_version")
    if found["command"]:
        lines.append(f"# the engine's command ({found['fingerprint'].get('engine')} {version}):")
        lines.append(found["command"])
    else:
        lines.append(f"# {found['fingerprint'].get('engine')} {version}: started by the workbench, or an endpoint")
    if found["bench_toml"]:
        lines += ["# the same measurement: save as bench.toml, then `workbench bench bench.toml`", found["bench_toml"]]
    return "\n".join(lines)
