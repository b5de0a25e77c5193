"""How much a program may take."""

from dataclasses import asdict, dataclass

from workbench.errors import UsageError


@dataclass(frozen=True, slots=True)
class Limits:
    """The defaults are generous for a function and its tests.

    `memory_bytes` is the address space of one process, so with `processes` above 1 they may take as many times that.
    `threads` are those beside the first; under one's own uid without namespaces there are none.
    """

    wall_s: float = 10.0
    cpu_s: int = 5
    memory_bytes: int = 512 << 20
    file_bytes: int = 1 << 20
    folder_bytes: int = 8 << 20
    output_bytes: int = 64 << 10
    open_files: int = 32
    threads: int = 8
    processes: int = 1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value >= (0 if name == "threads" else 1e-3):
                raise UsageError(f"sandbox: {name} = {value}: must be above zero")
