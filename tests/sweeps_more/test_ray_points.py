"""Points as Ray tasks: what each takes of a node, what travels, and a real sweep on a local Ray."""

import importlib.util
import io
import tarfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from workbench.config import parse
from workbench.errors import Failure, UsageError
from workbench.flows.sweeps.budget import Budget
from workbench.flows.sweeps.points import Point, Setting, points
from workbench.flows.sweeps.ray_points import Task as PointTask
from workbench.flows.sweeps.ray_points import _packed, _unpacked, measure_there, run_on_ray, shares
from workbench.flows.sweeps.run import Sweep
from workbench.flows.sweeps.spec import SweepSpec
from workbench.flows.sweeps.store import read_rows

TEXT = """
name = "ray"
[[engine]]
name = "fake"
[[workload]]
name = "w"
requests = 6
prompt_tok = { kind = "fixed", tok = 8 }
output_tok = { kind = "fixed", tok = 4 }
[load]
concurrency = [1, 2]
"""
SPEC = parse(SweepSpec, TEXT, "sweep.toml")


def sweep_in(folder: Path) -> Sweep:
    return Sweep(SPEC, folder, Budget.begin(1.0, None, None), config_text=TEXT, base=folder.parent)


def test_a_point_takes_its_gpus_and_as_large_a_part_of_the_cores() -> None:
    nodes = [{"Alive": True, "Resources": {"CPU": 64.0, "GPU": 8.0}}, {"Alive": True, "Resources": {"CPU": 16.0}},
             {"Alive": False, "Resources": {"CPU": 1.0, "GPU": 99.0}}]
    share = shares(SimpleNamespace(nodes=lambda: nodes))

    def point(gpus: int) -> Point:
        return Point(Setting("e", "m", "", gpus, {}), "w", 1.0, None, 0, 0)

    assert share(point(0)) == {"num_cpus": 16.0}  # all of a node, so that two engines never share one
    assert share(point(1)) == {"num_gpus": 1, "num_cpus": 8.0}
    assert share(point(8)) == {"num_gpus": 8, "num_cpus": 64.0}
    with pytest.raises(UsageError, match="no node has so many"):
        share(point(16))


def test_what_travels_back_is_plain_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/run.parquet").write_bytes(b"x")
    (tmp_path / "a/point.json").write_text("{}")
    (tmp_path / "b").mkdir()
    _unpacked(_packed(tmp_path / "a"), tmp_path / "b")
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["run.parquet"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        packed.addfile(tarfile.TarInfo("../x"), io.BytesIO())
    with pytest.raises(Failure, match="plain files"):
        _unpacked(buffer.getvalue(), tmp_path / "b")


def test_what_needs_the_last_result_is_refused(tmp_path: Path) -> None:
    text = TEXT.replace("concurrency = [1, 2]", "search = { slo = { ttft_s = 1.0 } }")
    sweep = replace_spec(sweep_in(tmp_path), parse(SweepSpec, text, "sweep.toml"))
    with pytest.raises(UsageError, match="--ray: a search"):
        run_on_ray(sweep, "local")


def replace_spec(sweep: Sweep, spec: SweepSpec) -> Sweep:
    sweep.spec = spec
    return sweep


@pytest.mark.slow
def test_a_point_is_measured_alone_and_skipped_where_it_is_known(tmp_path: Path) -> None:
    """Also where it was measured on another machine; not where another engine did."""
    point = points(SPEC)[0]
    task = PointTask(SPEC, point, str(tmp_path), 1.0, None, None)
    done = measure_there(task)
    assert done.row is not None
    assert done.row["status"] == "ok"
    elsewhere = done.row["fingerprint"] | {"cpu": "another", "gpu": "8 x another"}
    assert measure_there(replace(task, known=elsewhere)).row is None
    assert measure_there(replace(task, known=elsewhere | {"engine_version": "0"})).row is not None


@pytest.mark.slow
def test_points_on_a_local_ray_are_those_of_a_run_here(tmp_path: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is an extra: pip install 'inference-workbench[distributed]'")
    here = sweep_in(tmp_path / "here")
    here.run()
    there = sweep_in(tmp_path / "there")
    result = run_on_ray(there, "local")
    assert (result["ok"], result["ran"], result["kept"]) == (2, 2, 0)
    first, second = ({row["id"]: row for row in read_rows(tmp_path / name)} for name in ("here", "there"))
    assert first.keys() == second.keys()
    for name, row in first.items():
        assert row["fingerprint"] == second[name]["fingerprint"]
        assert row["outcomes"] == second[name]["outcomes"]
        assert (tmp_path / "there/points" / name / "run.parquet").exists()
    again = run_on_ray(sweep_in(tmp_path / "there"), "local")
    assert (again["ran"], again["kept"]) == (0, 2)
