"""`sweep run --ray`: the points of one sweep on several machines, a task each with its GPUs; the store stays here.

A point without GPUs takes a node's cores all at once: two engines on one processor would measure each other. Where it
ran is in its row; a rerun takes a point as done wherever it was measured. A killed sweep leaves only whole points.
"""

import io
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import Failure, UsageError
from workbench.files import write_json, write_text
from workbench.flows.executor import Refused, guarded
from workbench.flows.executor_ray import connected
from workbench.flows.sweeps.budget import Budget
from workbench.flows.sweeps.environment import ENVIRONMENTS
from workbench.flows.sweeps.fingerprint import differing
from workbench.flows.sweeps.points import Point, points
from workbench.flows.sweeps.run import FILE, LOGS, RESULT, Sweep
from workbench.flows.sweeps.session import Session, session
from workbench.flows.sweeps.spec import SweepSpec
from workbench.flows.sweeps.store import POINT, Row, Store, opened
from workbench.redact import redact

MACHINE = ("gpu", "driver", "cpu")  # fields of a fingerprint that say where, and not what
MAX_BYTES = 512 * 2**20  # of one point's files on their way back


@dataclass(frozen=True, slots=True)
class Task:
    """One point, and what a machine must know to measure it alone. `known` is the fingerprint of a row there is."""

    spec: SweepSpec
    point: Point
    base: str
    usd_per_hour: float | None
    minutes_left: float | None
    known: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Done:
    """A measured point: its row and its folder, packed; or None in both where what is known is of this very point."""

    row: Row | None
    packed: bytes
    environment: tuple[str, str] | None  # name and text
    stopped: str | None = None


def measure_there(task: Task) -> Done:
    """Run by Ray on the machine that measures: a sweep of one point in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="workbench-point-") as private:
        folder = Path(private)
        sweep = Sweep(task.spec, folder, Budget.begin(task.usd_per_hour, None, task.minutes_left), base=Path(task.base))
        if task.known is not None:
            now, _ = sweep.fingerprint(task.point, sweep.schedule(task.point))
            if not differing(*(_what(item) for item in (task.known, now))):
                return Done(None, b"", None)
        with opened(folder) as store, session(sweep.start or sweep.shelf.start, folder / LOGS) as engines:
            stopped = sweep.do(store, engines, task.point)
            row = store.rows.get(task.point.id)
        if row is None:
            return Done(None, b"", None, stopped)
        name = str(row["environment"])
        text = (folder / ENVIRONMENTS / name).read_text(encoding="utf-8")
        return Done(row, _packed(folder / "points" / task.point.id), (name, text))


def run_on_ray(sweep: Sweep, address: str) -> dict[str, Any]:
    """As `Sweep.run`, elsewhere. Raises UsageError for what needs one point's result before the next is known."""
    if sweep.spec.load.search is not None or sweep.spec.decide is not None:
        raise UsageError("--ray: a search and [decide] choose each point by the last one's result; give rate_per_s or"
                         " concurrency, or leave --ray out")
    if sweep.shelf.own:
        raise UsageError("--ray: an engine from a file of your own does not travel; leave --engine or --ray out")
    sweep.spec.check_workloads(FILE)
    asked = points(sweep.spec)
    engines = Session(sweep.shelf.start, sweep.folder / LOGS)  # none is ever started here
    with opened(sweep.folder) as store, connected(address) as ray:
        write_text(sweep.folder / FILE, redact(sweep.config_text))
        stopped = _all(sweep, store, asked, ray)
        result = sweep.result(store, engines, stopped)
        write_json(sweep.folder / RESULT, result)
    return result


def _all(sweep: Sweep, store: Store, asked: Sequence[Point], ray: Any) -> str | None:
    """Tasks are handed over as nodes come free, so that a limit stops the rest. Returns why it stopped early."""
    remote = ray.remote(guarded)
    waiting: dict[Any, Point] = {}
    queue, spent_usd, stopped = list(reversed(asked)), 0.0, None
    share = shares(ray)
    most = max(1, 2 * len(ray.nodes()))
    began = time.monotonic()
    try:
        while queue or waiting:
            while queue and len(waiting) < most and stopped is None:
                stopped = _over(sweep.budget, time.monotonic() - began, spent_usd)
                if stopped is None:
                    point = queue.pop()
                    placed = remote.options(**share(point), max_retries=0)
                    task = placed.remote(measure_there, _task(sweep, store, point))
                    waiting[task] = point
            if not waiting:
                break
            ready, _ = ray.wait(list(waiting), num_returns=1)
            point = waiting.pop(ready[0])
            spent_usd += _keep(sweep, store, point, _result(ray, ready[0], point, note=sweep.note))
            sweep.on_point(len(sweep.done), len(asked))
    finally:
        for task in waiting:
            ray.cancel(task)
    return stopped


def shares(ray: Any) -> Callable[[Point], dict[str, float]]:
    """What a point takes of a node: its GPUs and as large a part of the cores; all cores where it has none."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = min(node.get("CPU", 1.0) for node in nodes)

    def share(point: Point) -> dict[str, float]:
        gpus = point.setting.gpus
        if not gpus:
            return {"num_cpus": cores}
        fitting = [node for node in nodes if node.get("GPU", 0.0) >= gpus]
        if not fitting:
            raise UsageError(f"--ray: {point.setting.label}: asks for {gpus} GPUs; no node has so many")
        part = min(node.get("CPU", 1.0) * gpus / node["GPU"] for node in fitting)
        return {"num_gpus": gpus, "num_cpus": max(1.0, part // 1)}

    return share


def _task(sweep: Sweep, store: Store, point: Point) -> Task:
    row = store.rows.get(point.id)
    left_s = sweep.budget.left_s
    known = row["fingerprint"] if row is not None and (row["status"] == "ok" or not sweep.retry_failed) else None
    return Task(sweep.spec, point, str(sweep.base), sweep.budget.usd_per_hour,
                None if left_s is None else max(0.0, left_s / 60), known)


def _over(budget: Budget, passed_s: float, spent_usd: float) -> str | None:
    """Time is that of the clock; money is that of every machine."""
    if budget.max_minutes is not None and passed_s > budget.max_minutes * 60:
        return f"{budget.max_minutes:g} minutes are over"
    if budget.max_usd is not None and spent_usd >= budget.max_usd:
        return f"{spent_usd:.2f} USD are spent on points"
    return None


def _result(ray: Any, reference: Any, point: Point, note: Callable[[str], None]) -> Done | None:
    """None where the machine went away with it: a rerun measures it again."""
    try:
        found = ray.get(reference)
    except ray.exceptions.RayError as error:
        note(f"{point.id}: lost on its way ({type(error).__name__}); run again to measure it")
        return None
    if isinstance(found, Refused):
        raise UsageError(found.text) if found.usage else Failure(found.text)
    assert isinstance(found, Done)
    return found


def _keep(sweep: Sweep, store: Store, point: Point, done: Done | None) -> float:
    """Put what came back into the store; returns its cost in USD."""
    if done is None:
        return 0.0
    if done.row is None:
        sweep.kept += done.stopped is None
        if done.stopped is None:
            sweep.done.add(point.id)
        else:
            sweep.note(done.stopped)
        return 0.0
    _unpacked(done.packed, store.begin(point.id))
    if done.environment is not None:
        name, text = done.environment
        write_text(sweep.folder / ENVIRONMENTS / Path(name).name, text)
    store.commit(point.id, {key: value for key, value in done.row.items() if key not in ("kind", "schema", "id")})
    sweep.ran += 1
    sweep.done.add(point.id)
    if done.row["status"] != "ok":
        sweep.note(f"{point.id}: {done.row['failure']['kind']}: {done.row['failure']['message']}")
    return float(done.row.get("wall_usd") or 0.0)


def _what(known: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in known.items() if key not in MACHINE}


def _packed(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for path in _files(folder):
            packed.add(path, path.name, recursive=False)
    if buffer.tell() > MAX_BYTES:
        raise Failure(f"{folder.name}: {buffer.tell()} bytes of results; at most {MAX_BYTES} travel back")
    return buffer.getvalue()


def _files(folder: Path) -> Iterator[Path]:
    """Plain files of a point; its row is written where it is kept."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.is_symlink() and path.name != POINT:
            yield path


def _unpacked(packed: bytes, into: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as found:
        for member in found:
            content = found.extractfile(member)
            if not member.isreg() or Path(member.name).name != member.name or content is None:
                raise Failure(f"{member.name!r}: a point is made of plain files; what came back is not")
            with content, (into / member.name).open("xb") as handle:
                while piece := content.read(1 << 20):
                    handle.write(piece)
