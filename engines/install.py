"""Building an engine's own environment from its lock, in pieces that stay when it is interrupted; and taking it away.

The stamp is written last: without it the engine is not installed, and the next attempt goes on where this one stopped.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines import own
from engines.environment import child_environment
from engines.record import Engine
from workbench.errors import Failure, UsageError
from workbench.paths import cache
from workbench.redact import redact

PIECE = 12  # packages installed at a time: small enough to resume, large enough that starting pip does not matter
_PASSED = re.compile(r"^(PIP_|HTTPS?_PROXY$|https?_proxy$|NO_PROXY$|no_proxy$|SSL_CERT|REQUESTS_CA)")
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of a lock, with its hashes."""

    name: str
    version: str
    text: str

    @property
    def folder(self) -> str:
        """How its .dist-info begins: PyPI's names, as installers write them."""
        return f"{re.sub(r'[-_.]+', '_', self.name).lower()}-{self.version}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What an installation will do, to be said before it is done."""

    engine: str
    folder: Path
    python: str
    packages: int
    missing: int
    download_bytes: int
    disk_bytes: int
    seconds: int
    free_bytes: int
    gpu: str
    source_builds: tuple[str, ...]


def read_lock(path: Path) -> list[Locked]:
    """The packages of a lock; a line without a hash, or with an index, is refused."""
    text = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    found = []
    for entry in re.split(r"\n(?=[A-Za-z0-9-])", text.strip()):
        hit = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", entry)
        if hit is None or "--hash=sha256:" not in entry:
            raise Failure(f"{path.name}: {entry.splitlines()[0][:80]!r}: not a pinned package with a hash")
        found.append(Locked(hit[1], hit[2], entry + "\n"))
    return found


def plan(engine: Engine) -> Plan:
    """Raises UsageError where there is nothing to install, or no Python that the lock was made for."""
    environment = engine.environment
    if environment is None or not environment.lock:
        raise UsageError(f"engine {engine.name!r} has no environment to build here: {engine.get}")
    packages = read_lock(environment.lock_path)
    folder = own.folder(engine.name)
    there = _present(folder)
    nearest = next((up for up in (folder, *folder.parents) if up.exists()), Path("/"))
    return Plan(
        engine.name, folder, _interpreter(engine.name, environment.python), len(packages),
        sum(package.folder not in there for package in packages), environment.download_bytes, environment.disk_bytes,
        environment.install_s, shutil.disk_usage(nearest).free, environment.gpu, environment.source_builds,
    )


def install(engine: Engine, *, on_progress: OnProgress = lambda _done, _total: None) -> own.Installed:
    """Build the environment, or what is left of it to build. Raises Failure with pip's last words."""
    todo = plan(engine)
    environment = engine.environment
    assert environment is not None
    if todo.missing and todo.free_bytes < environment.disk_bytes * 1.2:
        raise Failure(f"{engine.name}: {environment.disk_bytes / 1e9:.1f} GB and some air are needed, "
                      f"{todo.free_bytes / 1e9:.1f} GB are free; make room, or set WORKBENCH_ENGINES elsewhere")
    begun = time.monotonic()
    with _alone(engine.name):
        packages, folder = read_lock(environment.lock_path), todo.folder
        (folder / own.STAMP).unlink(missing_ok=True)
        _make_venv(todo.python, folder)
        _remove_strangers(folder, packages)
        missing = [package for package in packages if package.folder not in _present(folder)]
        done = len(packages) - len(missing)
        on_progress(done, len(packages))
        for piece in _pieces(missing, environment.source_builds):
            _pip(folder, piece, environment)
            done += len(piece)
            on_progress(done, len(packages))
        if environment.alias is not None:
            _alias(folder, *environment.alias)
        lacking = [package.name for package in packages if package.folder not in _present(folder)]
        if lacking:
            raise Failure(f"{engine.name}: {', '.join(lacking[:5])} did not arrive; run it again")
        version = next((package.version for package in packages if package.name == engine.distribution), "")
        digest = hashlib.sha256(environment.lock_path.read_bytes()).hexdigest()
        stamp = own.Installed(engine.name, version, digest, todo.python, len(packages),
                              round(time.monotonic() - begun, 1))
        stamp.write(folder)
    return stamp


def uninstall(name: str) -> int:
    """Remove an environment, finished or not; the bytes that were freed. Only ever the engine's own folder."""
    folder, top = own.folder(name), own.root()
    if folder.is_symlink() or not folder.is_dir():
        raise UsageError(f"engine {name!r} has no environment here")
    if folder.resolve().parent != top.resolve() or not (folder / "pyvenv.cfg").is_file():
        raise UsageError(f"{folder.name}: this is no environment that was built here; nothing was removed")
    with _alone(name):
        freed = own.disk_bytes(folder)
        (folder / own.STAMP).unlink(missing_ok=True)
        shutil.rmtree(folder)
    return freed


def _interpreter(name: str, wanted: Sequence[str]) -> str:
    """A Python of a version that the lock was made for: this one, or one on the PATH."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if here in wanted:
        return here
    found = next((version for version in wanted if _runs(f"python{version}")), None)
    if found is None:
        raise UsageError(f"engine {name!r} is locked for Python {', '.join(wanted)}; this is {here}, and the PATH has "
                         f"no python{wanted[0]}: install one")
    return found


def _runs(program: str) -> bool:
    """A name on the PATH may be a shim without a Python behind it."""
    try:
        return subprocess.run([program, "-c", "import venv"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _make_venv(version: str, folder: Path) -> None:
    if (folder / "pyvenv.cfg").is_file() and (folder / "bin" / "pip").exists():
        return
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    program = sys.executable if version == here else f"python{version}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run([program, "-m", "venv", "--clear", str(folder)], "making the environment")


def _site(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("lib/python3.*/site-packages"))), None)


def _present(folder: Path) -> set[str]:
    """The .dist-info of what lies there; pip writes RECORD last, so a half-written one does not count."""
    site = _site(folder)
    if site is None:
        return set()
    found = set()
    for path in site.glob("*.dist-info"):
        if (path / "RECORD").is_file():
            name, _, version = path.name.removesuffix(".dist-info").rpartition("-")
            found.add(f"{re.sub(r'[-_.]+', '_', name).lower()}-{version}")
    return found


def _remove_strangers(folder: Path, packages: Sequence[Locked]) -> None:
    """After a new lock: what it does not hold in that version goes."""
    wanted = {package.folder for package in packages}
    keep = {"pip", "setuptools"}
    strangers = [name for name in _present(folder) if name not in wanted and name.rpartition("-")[0] not in keep]
    if strangers:
        names = [name.rpartition("-")[0].replace("_", "-") for name in sorted(strangers)]
        _run([str(folder / "bin" / "python"), "-m", "pip", "uninstall", "--yes", "--quiet", *names], "making room")


def _pieces(packages: Sequence[Locked], source_builds: tuple[str, ...]) -> Iterator[Sequence[Locked]]:
    """Wheels first; what must be compiled alone and last, when all that compiles it is there."""
    wheels = [package for package in packages if package.name not in source_builds]
    for begin in range(0, len(wheels), PIECE):
        yield wheels[begin:begin + PIECE]
    for package in packages:
        if package.name in source_builds:
            yield [package]


def _pip(folder: Path, piece: Sequence[Locked], environment: own.Environment) -> None:
    """One pip: exactly these files, by their hashes. The index for what PyPI lacks is asked only when it is needed."""
    path = folder / "piece.txt"
    path.write_text("".join(package.text for package in piece), encoding="utf-8")
    built = piece[0].name in environment.source_builds
    words = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes",
             "--disable-pip-version-check", "--no-input", "-r", str(path)]
    words += ["--no-build-isolation", "--no-binary", piece[0].name] if built else ["--only-binary", ":all:"]
    names = ", ".join(package.name for package in piece[:3]) + (" ..." if len(piece) > 3 else "")
    try:
        _run(words, f"installing {names}")
    except Failure:
        if not environment.index or not any("+" in package.version for package in piece):
            raise
        _run([*words, "--extra-index-url", environment.index], f"installing {names}")
    path.unlink()


def _alias(folder: Path, name: str, version: str) -> None:
    """A distribution that is only a name: the engine looks up under it which build it is."""
    site = _site(folder)
    assert site is not None
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")


def _run(words: Sequence[str], doing: str) -> None:
    """Run to the end, its output in a log beside the environment; Failure with its last words."""
    env = child_environment(ours=False) | {key: value for key, value in os.environ.items() if _PASSED.match(key)}
    log = cache() / "engines" / "install.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as handle:
        try:
            done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, stdout=handle, stderr=subprocess.PIPE)
        except OSError as error:
            raise Failure(f"{doing}: {words[0]}: {error.strerror or error}") from error
        handle.write(done.stderr)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines()]
        told = [line for line in lines if line and not line.startswith("WARNING")][:3] or lines[-1:]
        raise Failure(f"{doing}: {redact(' | '.join(told))[:400]}; what is there stays: run it again to go on")


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """One installer at a time for one engine; the lock goes with the process."""
    path = cache() / "engines" / f"{own.folder(name).name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failure(f"engine {name!r} is being installed or removed by another process; wait for it") from None
        yield
