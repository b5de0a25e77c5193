"""Environments of the quantisers: records like those of engines, so that one installer builds both."""

from engines import Engine, own
from engines import find as find_engine
from engines.install import OnProgress, install, plan
from engines.own import Environment
from workbench.errors import UsageError
from workbench.models.quantise.method import Method

_INDEX = "https://download.pytorch.org/whl/cpu"  # where CPU builds of torch are
_PYTHON = ("3.11",)


def _record(name: str, disk_bytes: int, install_s: int, source_builds: tuple[str, ...] = ()) -> Engine:
    """Size and time as measured once on 2 cores, shared with others."""
    return Engine(
        name=name, title=name, place="own environment", distribution=name, needs_model=False,
        get="workbench quantise MODEL --to METHOD --install",
        environment=Environment(f"{name}.txt", _PYTHON, disk_bytes, install_s, source_builds, index=_INDEX),
    )


RECORDS = {item.name: item for item in (
    _record("gptqmodel", 1_516_000_000, 400,
            ("defuser", "device-smi", "gptqmodel", "logbar", "pypcre", "tokenicer")),
    _record("llmcompressor", 1_462_000_000, 130),
    _record("torchao", 1_180_000_000, 120),
    _record("bitsandbytes", 1_284_000_000, 120),
)}


def record(name: str) -> Engine:
    """A quantiser's environment, or the engine's that does the work (onnxruntime)."""
    return RECORDS[name] if name in RECORDS else find_engine(name)


def ready(name: str) -> bool:
    return own.installed(name) is not None


def require(method: Method) -> None:
    """UsageError with the line that builds the environment."""
    if method.environment and not ready(method.environment):
        raise UsageError(f"{method.name} works in an environment of its own, {method.environment!r}, which is not "
                         f"here: add --install ({announcement(method)})")


def announcement(method: Method) -> str:
    """What --install would fetch, to be said before it does."""
    told = plan(record(method.environment))
    size = f"{told.download_bytes / 1e6:,.0f} MB to fetch, {told.disk_bytes / 1e9:.1f} GB on disk"
    return f"{told.missing} of {told.packages} packages, {size}, about {told.seconds / 60:.0f} min"


def build(method: Method, on_progress: OnProgress) -> None:
    install(record(method.environment), on_progress=on_progress)
