"""A sweep as a SkyPilot task: what its parser takes, and a script that loses nothing when it is killed."""

import os
import shlex
import shutil
import signal
import subprocess
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from workbench.errors import UsageError
from workbench.flows.runs_import import import_runs
from workbench.flows.sweeps.skypilot import CLOUDS, Asked, task_text

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
# of sky/utils/schemas.py in SkyPilot 0.14.1: what a task, its resources and a bucket may say
TASK = {"name", "workdir", "num_nodes", "resources", "file_mounts", "setup", "run", "envs", "secrets"}
RESOURCES = {"infra", "accelerators", "cpus", "use_spot", "disk_size", "autostop", "region", "image_id"}
CASES = {
    "aws.yaml": Asked("aws", "H100", bucket="s3://mine/sweeps", usd_per_hour=3.5, max_usd=20, max_minutes=240,
                      secrets=("HF_TOKEN",)),
    "runpod.yaml": Asked("runpod", "H200", region="US"),
}


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    shutil.copy(HERE / "sky.toml", tmp_path)
    return tmp_path / "sky.toml"


@pytest.mark.parametrize("name", CASES)
def test_the_file_is_the_golden_one(name: str, sweep: Path) -> None:
    found = task_text(sweep, CASES[name], here=sweep.parent)
    golden = GOLDEN / name
    if os.environ.get("WORKBENCH_GOLDEN"):
        golden.write_text(found)
    assert found == golden.read_text()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_cloud_gives_a_task_that_the_schema_knows(cloud: str, sweep: Path) -> None:
    text = task_text(sweep, Asked(cloud, "H100", spot=CLOUDS[cloud].spot), here=sweep.parent)
    task: dict[str, Any] = yaml.safe_load(text)
    assert task.keys() <= TASK
    assert task["resources"].keys() <= RESOURCES
    assert task["resources"]["accelerators"] == {"H100": 2}  # the most that a point needs
    assert task["resources"]["infra"].split("/")[0] == cloud
    assert all(isinstance(value, str) for value in task["envs"].values())
    assert str(sweep.parent) not in text
    for script in (task["setup"], task["run"]):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_what_a_cloud_cannot_do_is_refused(sweep: Path) -> None:
    base = Asked("runpod", "H100")
    for asked, match in (
        (replace(base, bucket="s3://b"), "mounts no buckets on runpod"), (replace(base, cloud="lambda"), "no spot"),
        (replace(base, cloud="moon"), "must be one of"), (replace(base, gpu=""), "asks for 2 GPUs"),
        (replace(base, cloud="aws", bucket="/etc"), "must begin with"), (replace(base, max_usd=3), "needs --usd-per"),
        (replace(base, resume=Path("/nowhere")), "is not there"), (replace(base, resume=Path("/")), "not below"),
    ):
        with pytest.raises(UsageError, match=match):
            task_text(sweep, asked, here=sweep.parent)


def test_hostile_names_are_words_and_files_travel(tmp_path: Path) -> None:
    nasty = tmp_path / "s; touch $(x) '`.toml"
    (tmp_path / "lengths.csv").write_text("1\n")
    nasty.write_text((HERE / "sky.toml").read_text().replace("meta-llama/Llama-3.1-8B", "lengths.csv"))
    task = yaml.safe_load(task_text(nasty, Asked("runpod", "H100"), here=tmp_path))
    assert task["file_mounts"]["~/sweep/lengths.csv"] == "./lengths.csv"
    line = next(line for line in task["run"].splitlines() if line.startswith("workbench"))
    assert shlex.split(line)[:4] == ["workbench", "sweep", "run", nasty.name]
    nasty.write_text(nasty.read_text().replace('"lengths.csv"', f'"../{tmp_path.name}"'))
    with pytest.raises(UsageError, match="lies outside"):
        task_text(nasty, Asked("runpod", "H100"), here=tmp_path)


STAND_IN = """#!/bin/bash
set -e
cd ~/results/points
for id in a b c; do
  [ -e $id/point.json ] && continue
  echo $id >> ~/measured
  mkdir -p $id.part; echo "{\\"id\\": \\"$id\\"}" > $id.part/point.json; mv $id.part $id
  if [ -e ~/die ] && [ $id = b ]; then
    until ls ~/bucket/points/b+*.tar > /dev/null 2>&1; do sleep 0.1; done
    rm ~/die; mkdir c.part; kill -9 -$(ps -o pgid= $$ | tr -d ' ')
  fi
done
"""


@pytest.mark.slow
def test_a_killed_machine_goes_on_from_the_bucket_and_measures_nothing_twice(sweep: Path, tmp_path: Path) -> None:
    """Its home is lost with it, the bucket is not."""
    script = yaml.safe_load(task_text(sweep, CASES["aws.yaml"], here=sweep.parent))["run"]
    homes = [tmp_path / "first", tmp_path / "second"]
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    codes = []
    for home in homes:
        (home / "workbench-env/bin").mkdir(parents=True)
        (home / "sweep").mkdir()
        (home / "bucket").symlink_to(bucket)
        (home / "workbench-env/bin/workbench").write_text(STAND_IN)
        (home / "workbench-env/bin/workbench").chmod(0o755)
        if home is homes[0]:
            (home / "die").touch()
        done = subprocess.run(["bash", "-c", script], env={"HOME": str(home), "PATH": os.environ["PATH"]},
                              start_new_session=True, check=False, timeout=60)
        codes.append(done.returncode)
    assert codes == [-signal.SIGKILL, 0]
    assert (homes[0] / "measured").read_text().split() == ["a", "b"]
    assert (homes[1] / "measured").read_text().split() == ["c"]
    found = import_runs(bucket / "results.tar.gz", tmp_path / "in")
    assert found["verified_by"] == "SHA256SUMS"
    assert sorted(path.parent.name for path in (tmp_path / "in/points").rglob("point.json")) == ["a", "b", "c"]


@pytest.mark.slow
def test_skypilots_own_parser_takes_it(sweep: Path) -> None:
    """Here, or by the interpreter that WORKBENCH_SKYPILOT_PYTHON names: skypilot is large and pins much."""
    python = os.environ.get("WORKBENCH_SKYPILOT_PYTHON", "")
    if not python and find_spec("sky") is None:
        pytest.skip("skypilot is not installed: WORKBENCH_SKYPILOT_PYTHON names an interpreter that has it")
    script = "import sky, sys\nfor name in sys.argv[1:]: print(sky.Task.from_yaml(name).name)"
    for name, asked in CASES.items():
        (sweep.parent / name).write_text(task_text(sweep, asked, here=sweep.parent))
    environment = os.environ | {"HOME": str(sweep.parent), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
    done = subprocess.run([python or "python", "-c", script, *CASES], cwd=sweep.parent, env=environment, text=True,
                          capture_output=True, check=False, timeout=120)
    assert done.stdout.split() == ["h100-kv-fp8"] * len(CASES), done.stderr[-2000:]
