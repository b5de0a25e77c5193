"""How long a point will take and what it will cost: from earlier points of its kind, else from stated defaults."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.flows.sweeps.points import Point
from workbench.runlog.schema import Planned, chains

START_S = 60.0  # defaults, until something was measured: an engine of its own
START_OURS_S = 10.0  # llama.cpp and the fake engine start in seconds
TOKEN_S = 0.03  # one output token of one request
PROMPT_TOKEN_S = 0.001
AROUND_S = 2.0  # prompts, worker, writing
QUICK = frozenset({"llama.cpp", "fake", "openai"})


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds of one point, and where they come from."""

    start_s: float
    run_s: float
    basis: str

    @property
    def whole_s(self) -> float:
        return self.start_s + self.run_s


def estimate(point: Point, schedule: Sequence[Planned], rows: Iterable[dict[str, Any]], *, loaded: bool) -> Estimate:
    """`rows` are finished points; `loaded` says that the engine runs already."""
    good = [row for row in rows if row["status"] == "ok" and row["asked"]["setting"]["engine"] == point.setting.engine]
    same = [row for row in good if row["setting_key"] == point.setting.key]
    start_s = 0.0 if loaded else _start_s(point, same or good)
    answer_s, basis = _answer_s(point, schedule, same, good)
    places = max(1, point.concurrency or 1)
    if point.concurrency is None:
        run_s = sending_s(schedule, answer_s)
    else:
        run_s = answer_s * -(-len(schedule) // places) + _thinking_s(schedule, range(len(schedule))) / places
    return Estimate(start_s, run_s + AROUND_S, basis)


def sending_s(schedule: Sequence[Planned], answer_s: float = 0.0) -> float:
    """When an open loop's last answer is there, if each takes so long."""
    return max((schedule[talk[0]].intended_ns or 0) / 1e9 + len(talk) * answer_s + _thinking_s(schedule, talk)
               for talk in chains(schedule))


def _thinking_s(schedule: Sequence[Planned], places: Iterable[int]) -> float:
    return sum(schedule[i].think_ns for i in places) / 1e9


def _start_s(point: Point, known: Sequence[dict[str, Any]]) -> float:
    found = [row["start_s"] for row in known if row.get("start_s") is not None]
    return max(found) if found else START_OURS_S if point.setting.engine in QUICK else START_S


def _answer_s(
    point: Point, schedule: Sequence[Planned], same: Sequence[dict[str, Any]], good: Sequence[dict[str, Any]]
) -> tuple[float, str]:
    """Of one request at this load: as at the nearest load that was measured, scaled where that was another setting."""
    for known, basis in ((same, "measured: same setting"), (good, "measured: same engine")):
        found = [row for row in known if row["metrics"].get("e2e_s") is not None
                 and row["asked"]["workload"] == point.workload
                 and (row["asked"]["concurrency"] is None) == (point.concurrency is None)]
        if found:
            nearest = min(found, key=lambda row: abs(_load(row) - point.load))
            more = max(1.0, point.load / _load(nearest)) if point.concurrency is not None else 1.0
            return nearest["metrics"]["e2e_s"] * more, basis
    mean = [sum(values) / len(schedule) for values in (
        [item.asked_prompt_tok for item in schedule], [item.asked_output_tok for item in schedule])]
    return mean[0] * PROMPT_TOKEN_S + mean[1] * TOKEN_S, "default"


def _load(row: dict[str, Any]) -> float:
    return float(row["asked"]["rate_per_s"] or row["asked"]["concurrency"])
