"""A notebook's kernel: over ipc instead of TCP ports, its files in a folder of its own, one thread, no history."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager

import workbench

_PATH_TO_US = str(Path(workbench.__file__).resolve().parent.parent)


class PrivateKernelManager(AsyncKernelManager):
    """Starts python3 kernels whose channels are sockets in a private folder, their history and state with them."""

    def __init__(self, **kwargs: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="wb-kernel-")  # short: socket paths end at 107 bytes
        super().__init__(**kwargs)
        self.transport = "ipc"
        self.connection_file = str(Path(self._folder.name) / "k.json")

    async def _async_pre_start_kernel(self, **kwargs: Any) -> Any:
        path = os.pathsep.join(part for part in (_PATH_TO_US, os.environ.get("PYTHONPATH", "")) if part)
        kwargs["env"] = dict(os.environ) | {
            "IPYTHONDIR": str(Path(self._folder.name) / "ipython"), "PYTHONPATH": path, "MPLBACKEND": "agg",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1", "OMP_NUM_THREADS": "1",
        }
        return await super()._async_pre_start_kernel(**kwargs)

    async def end(self) -> None:
        """Kill the kernel if there is one, then remove its folder."""
        if self.has_kernel:
            await self.shutdown_kernel(now=True)
        self._folder.cleanup()


@contextmanager
def private_kernel() -> Iterator[PrivateKernelManager]:
    """A manager to run one notebook with; its kernel does not outlive the block, however that is left."""
    manager = PrivateKernelManager(kernel_name="python3")
    try:
        yield manager
    finally:
        asyncio.run(manager.end())
