"""Which cores each rank of vLLM's CPU build computes on, where vLLM itself finds none.

Left to itself (`auto`) vLLM gives each rank a NUMA node, and with fewer nodes than ranks it does not start.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from workbench.errors import Failure

SYSTEM = Path("/sys/devices/system")


def bound(asked: str, ranks: int) -> str:
    """VLLM_CPU_OMP_THREADS_BIND: `auto` becomes a list of cores for each rank where vLLM would not start."""
    if asked != "auto" or ranks < 2 or sys.platform != "linux" or memory_nodes() >= ranks:
        return asked
    return dealt(physical(sorted(os.sched_getaffinity(0))), ranks)


def dealt(cores: Sequence[int], ranks: int) -> str:
    """As many to each, neighbours together, what does not divide left over: (0, 1, 2, 3, 4), 2 -> "0,1|2,3"."""
    each = len(cores) // ranks
    if not each:
        raise Failure(f"vllm-cpu: {ranks} ranks want a core each, and {len(cores)} can be used here; ask for fewer "
                      "(gpus of a suite or sweep; tp, pp, dp), or share cores by threads_bind, such as \"0|0\"")
    return "|".join(",".join(map(str, cores[rank * each:(rank + 1) * each])) for rank in range(ranks))


def physical(cores: Sequence[int], system: Path = SYSTEM) -> list[int]:
    """The first hardware thread of each core: two ranks on one core would only wait for each other."""
    first: dict[str, int] = {}
    for core in cores:
        path = system / f"cpu/cpu{core}/topology/thread_siblings_list"
        first.setdefault(path.read_text().strip() if path.is_file() else f"alone {core}", core)
    return list(first.values())


def memory_nodes(system: Path = SYSTEM) -> int:
    """NUMA nodes that have memory, from a list such as `0-1,4`; 1 where nothing is said."""
    path = system / "node/has_memory"
    parts = [part.split("-") for part in path.read_text().strip().split(",")] if path.is_file() else [["0"]]
    return sum(int(part[-1]) - int(part[0]) + 1 for part in parts)
