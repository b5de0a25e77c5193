"""Finished runs, found again: by folder, by run id, or by notebook (the newest)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.errors import UsageError
from workbench.files import read_json
from workbench.report import index, library


def find(what: str, out: Path) -> Path:
    """The folder of a finished run below `out`. Raises UsageError."""
    direct = Path(what)
    if (direct / "provenance.json").is_file():
        return direct
    there = [item for item in index.runs(out) if item["status"] == "ok"]
    same = [item for item in there if what in (item["run_id"], item["name"], item["folder"])
            or library.begins(what, str(item["name"])) or str(item["folder"]).endswith(f"/{what}")]
    if not same:
        raise UsageError(f"{what!r}: no finished run of that name in {out.name}/; `workbench report list` shows them")
    return out / str(same[0]["folder"])


def numbers(run: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_json(run / "results.json")
    return found


def difference(a: Path, b: Path) -> list[dict[str, Any]]:
    """A row for every number or parameter that is in both or in one: name, unit, origin, a, b, change_frac (of a).

    `apart` says that both have intervals and these do not touch.
    """
    left, right = ({item["name"]: item for item in numbers(run)} for run in (a, b))
    rows = [_parameter(key, one.get(key), other.get(key)) for one, other in [_parameters(a, b)]
            for key in _keys(one, other) if one.get(key) != other.get(key)]
    return rows + [_number(name, left.get(name), right.get(name)) for name in _keys(left, right)]


def _parameters(a: Path, b: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    return read_json(a / "params.json"), read_json(b / "params.json")


def _keys(one: dict[str, Any], other: dict[str, Any]) -> Sequence[str]:
    return [*one, *(key for key in other if key not in one)]


def _parameter(name: str, a: Any, b: Any) -> dict[str, Any]:
    return {"name": name, "unit": "parameter", "origin": "", "a": a, "b": b, "change_frac": None, "apart": None}


def _number(name: str, a: dict[str, Any] | None, b: dict[str, Any] | None) -> dict[str, Any]:
    known = a or b or {}
    x, y = (item["value"] if item else None for item in (a, b))
    plain = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (x, y))
    change = (y - x) / abs(x) if plain and x else None
    return {"name": name, "unit": known["unit"], "origin": known["origin"], "a": x, "b": y, "change_frac": change,
            "apart": _apart(a, b)}


def _apart(a: dict[str, Any] | None, b: dict[str, Any] | None) -> bool | None:
    if not a or not b or any(item[key] is None for item in (a, b) for key in ("low", "high")):
        return None
    return bool(a["high"] < b["low"] or b["high"] < a["low"])
