"""Models that a browser can run, and whether this one can. The registry is data (datasets/browser/models.toml)."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from workbench.control.limits.answer import whole

WASM32_BYTES = 1 << 32  # 32-bit addresses: WebAssembly 2.0, "memory types": at most 65,536 pages of 64 KiB
SECOND_NS = 1_000_000_000


class Device(NamedTuple):
    """What a page can find out of the device it runs on, and what it may use of it.

    `gpu_bytes` 0: no WebGPU. `bytes_per_s` and `flops_per_s`: of whatever computes, as far as a browser gets it.
    `stored`: ids of models in its cache. `battery_ppm` None: it has none, or the browser does not say.
    """

    memory_bytes: int
    storage_bytes: int
    bytes_per_s: int
    flops_per_s: int
    downlink_bits_per_s: int
    gpu_bytes: int = 0
    buffer_bytes: int = 134_217_728  # WebGPU's default maxStorageBufferBindingSize
    half_floats: bool = False  # the feature shader-f16
    wasm64: bool = False
    metered: bool = False
    battery_ppm: int | None = None
    charging: bool = True
    stored: tuple[str, ...] = ()


class BrowserModel(NamedTuple):
    """`memory_bytes` with its KV cache for `context_tok`; `weight_bytes` are read once for every token.

    `quality_ppm` 0: nobody has measured it. `runtime`: webgpu or wasm.
    """

    id: str
    model: str
    runtime: str
    params: int
    download_bytes: int
    weight_bytes: int
    memory_bytes: int
    context_tok: int
    buffer_bytes: int = 0
    half_floats: bool = False
    quality_ppm: int = 0
    source: str = ""

    def download_ns(self, device: Device) -> int:
        """0 where it is stored already."""
        if self.id in device.stored:
            return 0
        return -(-self.download_bytes * 8 * SECOND_NS // device.downlink_bits_per_s)

    def run_ns(self, device: Device, prompt_tok: int, output_tok: int) -> tuple[int, int]:
        """To the first token, and to the last: compute-bound prompt, memory-bound decode. Origin: roofline."""
        each_ns = -(-self.weight_bytes * SECOND_NS // device.bytes_per_s)
        prompt_ns = max(each_ns, -(-2 * self.params * prompt_tok * SECOND_NS // device.flops_per_s))
        return prompt_ns, prompt_ns + max(0, output_tok - 1) * each_ns

    def why_not(self, device: Device) -> str:
        """What this device lacks; empty: it can."""
        if self.runtime == "webgpu":
            if not device.gpu_bytes:
                return "no WebGPU"
            if self.half_floats and not device.half_floats:
                return "no shader-f16"
            if self.buffer_bytes > device.buffer_bytes:
                return f"a buffer of {self.buffer_bytes} bytes; it binds at most {device.buffer_bytes}"
            if self.memory_bytes > device.gpu_bytes:
                return f"needs {self.memory_bytes} bytes of {device.gpu_bytes} for the GPU"
        elif self.memory_bytes > WASM32_BYTES and not device.wasm64:
            return f"needs {self.memory_bytes} bytes; wasm32 addresses {WASM32_BYTES}"
        elif self.memory_bytes > device.memory_bytes:
            return f"needs {self.memory_bytes} bytes of {device.memory_bytes}"
        if self.id not in device.stored and self.download_bytes > device.storage_bytes:
            return f"its {self.download_bytes} bytes cannot be stored in {device.storage_bytes}"
        return ""


class BrowserModelRegistry:
    """In order of registration, which breaks ties."""

    def __init__(self, models: Sequence[Mapping[str, Any] | BrowserModel]) -> None:
        self._models: dict[str, BrowserModel] = {}
        self._fitting: dict[Device, tuple[list[BrowserModel], list[str]]] = {}  # classes of devices repeat
        for i, raw in enumerate(models):
            model = raw if isinstance(raw, BrowserModel) else _model(i, raw)
            if model.id in self._models:
                raise ValueError(f"models.{i}: {model.id!r} is there twice")
            _check(model)
            self._models[model.id] = model

    def find(self, name: str) -> BrowserModel:
        if name not in self._models:
            near = get_close_matches(name, self._models, n=1)
            raise ValueError(f"browser model {name!r} is unknown; "
                             + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self._models)}"))
        return self._models[name]

    def models(self) -> list[BrowserModel]:
        return list(self._models.values())

    def fitting(self, device: Device) -> tuple[list[BrowserModel], list[str]]:
        """Those that the device can run, and for each other one why not."""
        found = self._fitting.get(device)
        if found is None:
            if len(self._fitting) >= 4096:
                self._fitting.clear()
            found = self._fitting[device] = self._look(device)
        return found

    def _look(self, device: Device) -> tuple[list[BrowserModel], list[str]]:
        able, refused = list[BrowserModel](), list[str]()
        for model in self._models.values():
            why = model.why_not(device)
            if why:
                refused.append(f"{model.id}: {why}")
            else:
                able.append(model)
        return able, refused


def _model(i: int, raw: Mapping[str, Any]) -> BrowserModel:
    for key in raw:
        if key not in BrowserModel._fields:
            near = get_close_matches(key, BrowserModel._fields, n=1)
            raise ValueError(f"models.{i}.{key}: is unknown; "
                             + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(BrowserModel._fields)}"))
    try:
        return BrowserModel(**raw)
    except TypeError as error:
        raise ValueError(f"models.{i}: {error}") from None


def _check(model: BrowserModel) -> None:
    if model.runtime not in ("webgpu", "wasm"):
        raise ValueError(f"{model.id}: runtime {model.runtime!r}: must be 'webgpu' or 'wasm'")
    for name in ("params", "download_bytes", "weight_bytes", "memory_bytes", "context_tok"):
        whole(f"{model.id}: {name}", getattr(model, name))
    if model.memory_bytes < model.weight_bytes:
        raise ValueError(f"{model.id}: memory_bytes {model.memory_bytes}: less than its weights")
