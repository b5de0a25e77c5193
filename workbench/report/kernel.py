"""A notebook's kernel: over ipc instead of TCP ports, its files in a folder of its own, one thread, no history."""

import os
import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from traitlets import default

import workbench

_PATH_TO_US = str(Path(workbench.__file__).resolve().parent.parent)


class PrivateKernelManager(AsyncKernelManager):
    """Starts python3 kernels that listen on no port and write nothing below the user's home."""

    def __init__(self, **kwargs: Any) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="wb-kernel-")  # short: socket paths end at 107 bytes
        super().__init__(**kwargs)
        self.transport = "ipc"
        self.connection_file = str(Path(self._folder.name) / "k.json")

    @default("kernel_name")
    def _default_kernel_name(self) -> str:
        return "python3"

    async def _async_pre_start_kernel(self, **kwargs: Any) -> Any:
        path = os.pathsep.join(part for part in (_PATH_TO_US, os.environ.get("PYTHONPATH", "")) if part)
        kwargs["env"] = dict(os.environ) | {
            "IPYTHONDIR": str(Path(self._folder.name) / "ipython"), "PYTHONPATH": path, "MPLBACKEND": "agg",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1", "OMP_NUM_THREADS": "1",
        }
        return await super()._async_pre_start_kernel(**kwargs)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        await super()._async_cleanup_resources(restart)
        if not restart:
            self._folder.cleanup()
