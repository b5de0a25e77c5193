"""What NVML says of the GPUs, through nvidia-ml-py where it is installed: absent is null, never 0."""

import importlib
from typing import Any

THROTTLE = {  # bits of nvmlDeviceGetCurrentClocksEventReasons, from nvml.h; idle is no throttling
    0x2: "application clocks", 0x4: "software power cap", 0x8: "hardware slowdown", 0x10: "sync boost",
    0x20: "software thermal slowdown", 0x40: "hardware thermal slowdown", 0x80: "hardware power brake",
    0x100: "display clocks",
}
HARMFUL = frozenset({"software power cap", "hardware slowdown", "software thermal slowdown",
                     "hardware thermal slowdown", "hardware power brake"})
NOT_INSTALLED = "nvidia-ml-py is not installed: pip install nvidia-ml-py"


def throttle_reasons(bits: int) -> list[str]:
    return [name for bit, name in THROTTLE.items() if bits & bit]


class Gpus:
    """All GPUs of the machine. `why_not` says why there are none to read."""

    def __init__(self) -> None:
        self.why_not: str | None = None
        self._handles: list[Any] = []
        self._nvml: Any = None
        try:
            self._nvml = importlib.import_module("pynvml")
        except ModuleNotFoundError:
            self.why_not = NOT_INSTALLED
            return
        try:
            self._nvml.nvmlInit()
            count = self._nvml.nvmlDeviceGetCount()
            self._handles = [self._nvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
        except self._nvml.NVMLError as error:
            self.why_not = f"NVML: {error}"

    def _ask(self, name: str, *arguments: Any) -> Any:
        """The answer, or None where this GPU does not tell it."""
        try:
            return getattr(self._nvml, name)(*arguments)
        except (self._nvml.NVMLError, AttributeError):
            return None

    def _throttle(self, handle: Any) -> list[str] | None:
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons", handle)
        if bits is None:
            bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)  # its name before CUDA 12.2
        return None if bits is None else throttle_reasons(bits)

    def sample(self, ours: frozenset[int]) -> list[dict[str, Any]]:
        """One reading a GPU; `others` counts compute processes that are not among `ours`."""
        found = []
        for handle in self._handles:
            power_mw = self._ask("nvmlDeviceGetPowerUsage", handle)
            energy_mj = self._ask("nvmlDeviceGetTotalEnergyConsumption", handle)
            memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
            processes = self._ask("nvmlDeviceGetComputeRunningProcesses", handle)
            found.append({
                "power_w": None if power_mw is None else power_mw / 1000,
                "energy_j": None if energy_mj is None else energy_mj / 1000,
                "sm_mhz": self._ask("nvmlDeviceGetClockInfo", handle, 1),
                "memory_mhz": self._ask("nvmlDeviceGetClockInfo", handle, 2),
                "memory_used_bytes": None if memory is None else memory.used,
                "temperature_c": self._ask("nvmlDeviceGetTemperature", handle, 0),
                "throttle": self._throttle(handle),
                "others": None if processes is None else sum(item.pid not in ours for item in processes),
            })
        return found

    def describe(self) -> dict[str, Any]:
        """Names, memory, limits; driver and CUDA."""
        gpus = []
        for handle in self._handles:
            memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
            limit_mw = self._ask("nvmlDeviceGetEnforcedPowerLimit", handle)
            gpus.append({
                "name": _text(self._ask("nvmlDeviceGetName", handle)),
                "memory_bytes": None if memory is None else memory.total,
                "power_limit_w": None if limit_mw is None else limit_mw / 1000,
                "sm_max_mhz": self._ask("nvmlDeviceGetMaxClockInfo", handle, 1),
            })
        cuda = self._ask("nvmlSystemGetCudaDriverVersion_v2") if self._handles else None
        driver = self._ask("nvmlSystemGetDriverVersion") if self._handles else None
        return {"gpus": gpus, "driver": _text(driver), "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None,
                "why_not": self.why_not if gpus else self.why_not or "no GPU"}

    def close(self) -> None:
        if self._handles:
            self._ask("nvmlShutdown")


def describe_gpus() -> dict[str, Any]:
    gpus = Gpus()
    try:
        return gpus.describe()
    finally:
        gpus.close()


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
