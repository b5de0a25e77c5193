"""A replica whose answers are known by hand: one request at a time, one iteration of a constant time each."""

from pathlib import Path

from workbench.profile.model import Linear
from workbench.profile.profile import Profile, write

STEP_NS = 10_000_000  # 10 ms: one replica serves 100 a second


def server(step_ns: int = STEP_NS) -> Profile:
    return Profile(
        source="roofline", model=Linear(coefficients_fs={"step": step_ns * 1_000_000}),
        rules={"engine": "llama.cpp", "slots": 1, "n_batch": 512, "n_ubatch": 512},
    )


def write_server(folder: Path, name: str = "server", step_ns: int = STEP_NS) -> Path:
    write(server(step_ns), folder / f"{name}.json")
    return folder
