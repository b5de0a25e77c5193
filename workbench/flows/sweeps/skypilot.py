"""A sweep as a SkyPilot task: one machine is rented, the sweep runs there, what is finished is kept elsewhere.

A point leaves the machine as one file, once it is whole: object stores know neither renames nor locks, so no sweep is
run inside a bucket. RunPod and Vast mount no buckets: there the sweep's folder travels by rsync, both ways.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml  # type: ignore[import-untyped]  # ships no types

from workbench import __version__, config, paths
from workbench.errors import UsageError
from workbench.flows.sweeps.spec import SweepSpec

SWEEP, RESULTS, BUCKET, ENV = "~/sweep", "~/results", "~/bucket", "~/workbench-env"
SCHEMES = ("s3://", "gs://", "r2://", "azure://", "https://")  # https: Azure's blob containers
IDLE_MINUTES = {True: 10, False: 60}  # with a bucket; without one somebody has to fetch the results first
QUIET = {"DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0",
         "VLLM_NO_USAGE_STATS": "1"}


@dataclass(frozen=True, slots=True)
class Cloud:
    """What SkyPilot 0.14 says that it can do there."""

    infra: str
    spot: bool = True
    buckets: bool = True


CLOUDS: Mapping[str, Cloud] = {
    "runpod": Cloud("runpod", buckets=False), "vast": Cloud("vast", buckets=False),
    "lambda": Cloud("lambda", spot=False), "aws": Cloud("aws"), "gcp": Cloud("gcp"), "azure": Cloud("azure"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be rented. `gpu` is SkyPilot's name of it; limits go to `sweep run` as they are."""

    cloud: str
    gpu: str = ""
    region: str = ""
    spot: bool = True
    disk_gib: int = 256
    bucket: str = ""
    resume: Path | None = None
    usd_per_hour: float | None = None
    max_usd: float | None = None
    max_minutes: float | None = None
    secrets: tuple[str, ...] = field(default=())  # names of variables, handed over at launch, never written here


def task_text(file: Path, asked: Asked, *, here: Path | None = None) -> str:
    """The YAML file, for `sky launch` in the folder `here`. Raises UsageError on what the cloud cannot do."""
    top = (here or Path.cwd()).resolve()
    spec = config.parse(SweepSpec, config.read_text(file), file.name)
    spec.check_workloads(file.name)
    task = _task(spec, file, asked, top)
    body: str = yaml.dump(task, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return _head(spec, asked) + body


def _task(spec: SweepSpec, file: Path, asked: Asked, top: Path) -> dict[str, Any]:
    cloud = CLOUDS.get(asked.cloud)
    if cloud is None:
        raise UsageError(f"--cloud {asked.cloud!r}: must be one of {', '.join(CLOUDS)}")
    _check(spec, asked, cloud)
    checkout = paths.root() == top
    mounts: dict[str, Any] = {f"{SWEEP}/{inside}": local for inside, local in _files(spec, file, top)}
    if asked.resume is not None:
        mounts[RESULTS] = _below(asked.resume, top, "--resume")
    if asked.bucket:
        mounts[BUCKET] = {"source": asked.bucket.rstrip("/"), "mode": "MOUNT"}
    return {
        "name": _plain(spec.name),
        "resources": _resources(spec, asked, cloud),
        **({"workdir": "."} if checkout else {}),
        "envs": QUIET,
        "file_mounts": mounts,
        "setup": _setup(spec, checkout),
        "run": _run(file.name, asked),
    }


def _check(spec: SweepSpec, asked: Asked, cloud: Cloud) -> None:
    if asked.spot and not cloud.spot:
        raise UsageError(f"--cloud {asked.cloud}: rents no spot machines; give --no-spot")
    if asked.bucket and not cloud.buckets:
        raise UsageError(f"--bucket: SkyPilot mounts no buckets on {asked.cloud}; leave it out, and fetch the results"
                         " with rsync (the file's first lines say how)")
    if asked.bucket and not asked.bucket.startswith(SCHEMES):
        raise UsageError(f"--bucket {asked.bucket!r}: must begin with {', '.join(SCHEMES)}")
    if asked.max_usd is not None and asked.usd_per_hour is None:
        raise UsageError("--max-usd needs --usd-per-hour")
    if gpus(spec) and not asked.gpu:
        raise UsageError(f"the sweep asks for {gpus(spec)} GPUs: say which with --gpu, such as H100")


def gpus(spec: SweepSpec) -> int:
    """The most that a point needs."""
    return max(count for grid in spec.engine for count in grid.gpus)


def _resources(spec: SweepSpec, asked: Asked, cloud: Cloud) -> dict[str, Any]:
    count = gpus(spec) or (1 if asked.gpu else 0)
    return {
        "infra": f"{cloud.infra}/{asked.region}" if asked.region else cloud.infra,
        **({"accelerators": {asked.gpu: count}} if count else {"cpus": "4+"}),
        "use_spot": asked.spot, "disk_size": asked.disk_gib,
        "autostop": {"idle_minutes": IDLE_MINUTES[bool(asked.bucket)], "down": True},
    }


def _files(spec: SweepSpec, file: Path, top: Path) -> Iterator[tuple[str, str]]:
    """(name under ~/sweep, path here) of the sweep and of the files that it names beside itself."""
    base = file.resolve().parent
    yield file.name, _below(file, top, "the sweep file")
    named = [*_texts([dict(table) for table in spec.workload]), *_texts([grid.model_dump() for grid in spec.engine])]
    for text in dict.fromkeys(named):
        path = base / text
        if len(text) > 240 or "\0" in text or not text.strip("./") or not path.exists():
            continue
        if Path(text).is_absolute() or ".." in PurePosixPath(text).parts:
            raise UsageError(f"{file.name}: {text!r}: lies outside the sweep's folder, and would not be where it is"
                             " looked for on the other machine; put it beside the sweep")
        yield str(PurePosixPath(text)), _below(path, top, text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from _texts(item)


def _below(path: Path, top: Path, what: str) -> str:
    """Relative to where `sky launch` will run, so that no path of this machine is in the file."""
    if not path.exists():
        raise UsageError(f"{what}: {path}: is not there")
    try:
        return f"./{path.resolve().relative_to(top)}"
    except ValueError:
        raise UsageError(f"{what}: {path.name}: is not below the working folder; go to a folder that holds"
                         " it") from None


def _setup(spec: SweepSpec, checkout: bool) -> str:
    """Python, the workbench, and the engines that have an environment of their own."""
    from engines import find

    what = "--editable ." if checkout else shlex.quote(f"inference-workbench=={__version__}")
    names = [name for name in dict.fromkeys(grid.name for grid in spec.engine) if ".py:" not in name]
    built = [name for name in names if (place := find(name).environment) is not None and place.lock]
    return "\n".join([
        "set -e",
        "python3 -m pip install --quiet uv || python3 -m pip install --quiet --break-system-packages uv",
        f"python3 -m uv venv --quiet --allow-existing --python 3.11 {ENV}",
        f"python3 -m uv pip install --quiet --python {ENV} {what}",
        *(f"{ENV}/bin/workbench engines install {shlex.quote(name)}" for name in built),
    ]) + "\n"


def _run(name: str, asked: Asked) -> str:
    """Fetch what was finished earlier, run the rest, keep every point once it is whole, then vouch for all of it."""
    words = ["workbench", "sweep", "run", name, "--out", RESULTS]
    for flag, value in (("--usd-per-hour", asked.usd_per_hour), ("--max-usd", asked.max_usd),
                        ("--max-minutes", asked.max_minutes)):
        words += [flag, f"{value:g}"] if value is not None else []
    command = " ".join(word if word.startswith("~/") else shlex.quote(word) for word in words)
    kept = bool(asked.bucket)
    return "\n".join([
        "set -uo pipefail",
        f'export PATH="$HOME/{ENV.removeprefix("~/")}/bin:$PATH"',
        f"mkdir -p {RESULTS}/points",
        f"rm -f {RESULTS}/SHA256SUMS",
        *(_KEEPING.splitlines() if kept else []),
        f"cd {SWEEP}",
        command,
        "code=$?",
        f"cd {RESULTS}",
        "find . -type f ! -name SHA256SUMS ! -name '*.lock' ! -path './*.part/*' -print0 | sort -z"
        " | xargs -0 sha256sum > SHA256SUMS",
        *(["touch ~/sweep.ended", 'wait "$keeper"', "keep",
           f"tar -czf {BUCKET}/results.tar.gz --exclude '*.part' --exclude '*.lock' ."] if kept else []),
        "exit $code",
    ]) + "\n"


_KEEPING = f"""\
mkdir -p {BUCKET}/points {BUCKET}/environments {RESULTS}/environments
cp -n {BUCKET}/environments/*.json {RESULTS}/environments/ 2> /dev/null || true
ls -tr {BUCKET}/points/*.tar 2> /dev/null | while IFS= read -r one; do
  id=$(basename "$one" .tar); id=${{id%+*}}
  rm -rf {RESULTS}/points/"$id"
  tar -xf "$one" -C {RESULTS}/points && continue
  echo "cut, measured again: $one"; rm -rf "$one" {RESULTS}/points/"$id"
done
keep() {{
  cp -n {RESULTS}/environments/*.json {BUCKET}/environments/ 2> /dev/null || true
  for one in {RESULTS}/points/*/point.json; do
    id=$(basename "$(dirname "$one")")
    case "$id" in *.part | '*') continue ;; esac
    target={BUCKET}/points/"$id+$(sha256sum < "$one" | cut -c1-16).tar"
    [ -s "$target" ] || tar -C {RESULTS}/points -cf "$target" "$id"
  done
}}
rm -f ~/sweep.ended
(until [ -e ~/sweep.ended ]; do sleep 2; keep; done) &
keeper=$!
"""


def _head(spec: SweepSpec, asked: Asked) -> str:
    """What to type, as comments."""
    name = shlex.quote(_plain(spec.name))
    secrets = "".join(f" --secret {shlex.quote(item)}" for item in asked.secrets)
    lines = [
        f"SkyPilot task of the sweep {spec.name}; written by `workbench sweep skypilot`.",
        "export SKYPILOT_DISABLE_USAGE_COLLECTION=1",
        f"sky launch -c {name}{secrets} THIS-FILE",
    ]
    if asked.bucket:
        lines += ["Killed by a spot market, launch it again: finished points come from the bucket.",
                  "At the end: fetch results.tar.gz from the bucket, then `workbench runs import results.tar.gz`."]
    else:
        lines += [
            "While it runs, every few minutes (a spot kill loses what was not fetched):",
            f"  rsync -rt --exclude '*.part' --exclude '*.lock' {name}:results/ fetched/{name}/",
            f"To go on after a kill: `workbench sweep skypilot ... --resume fetched/{name}`, and launch again.",
            f"At the end: rsync once more, `workbench runs import fetched/{name}`, `sky down {name}`.",
            f"The machine goes by itself after {IDLE_MINUTES[False]} idle minutes, and unfetched results with it.",
        ]
    return "".join(f"# {line}\n" for line in lines)


def _plain(name: str) -> str:
    """SkyPilot's rule for names: they begin with a letter and hold no dots and underscores on some clouds."""
    text = "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")
    return text if text[:1].isalpha() else f"sweep-{text}"


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # untyped base
    """Scripts as blocks that a person can read."""


def _block(dumper: yaml.SafeDumper, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)
