"""Browser or server as one part of the control plane: models, classes of devices and the servers' speed as data."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from workbench.control.hybrid.browser_models import BrowserModelRegistry, Device
from workbench.control.hybrid.router import Ask, HybridRouter, Keep, Place, ServerState
from workbench.control.limits.answer import whole
from workbench.control.queueing.service import Service
from workbench.control.request import Waiting

_TEXTS = ("name", "source")  # of a class: what is no fact of the device


class UnknownDevice(ValueError):
    """No class of devices has that name."""


class Hybrid:
    """`models` as in datasets/browser/models.toml, `devices` as in devices.toml: each with a `name` (its class).

    `server` is a guess of a server's speed: `base_ns`, `prompt_ns`, `output_ns`, as of a queue's `service`.
    `places`: what a replica computes at once, where no window says so. The rest are `HybridRouter`'s.
    """

    def __init__(self, models: Sequence[Mapping[str, Any]], devices: Sequence[Mapping[str, Any]],
                 server: Mapping[str, int] | None = None, places: int = 8, floor_ppm: int = 0,
                 wait_ns: int = 10_000_000_000, battery_ppm: int = 200_000, busy_ppm: int = 900_000,
                 slower_ppm: int = 1_000_000) -> None:
        self.registry = BrowserModelRegistry(models)
        self.router = HybridRouter(self.registry, battery_ppm, busy_ppm, slower_ppm)
        self.devices = _devices(devices)
        self.service = _service(server or {})
        self.places, self.floor_ppm = whole("hybrid.places", places), whole("hybrid.floor_ppm", floor_ppm, 0)
        self.wait_ns = whole("hybrid.wait_ns", wait_ns, 0)
        self.decided = {"browser": 0, "server": 0, "nowhere": 0}

    def device(self, name: str) -> Device:
        if name not in self.devices:
            near = get_close_matches(name, self.devices, n=1)
            raise UnknownDevice(f"device {name!r} is unknown; "
                                + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self.devices)}"))
        return self.devices[name]

    def decide(self, now_ns: int, item: Waiting, device: str, keep: Keep, server: ServerState | None) -> Place:
        """Raises UnknownDevice."""
        ask = Ask(item.prompt_tok, item.estimated_tok, self.floor_ppm, keep, self.wait_ns)
        place = self.router.decide(now_ns, self.device(device), ask, server)
        self.decided[place.where] += 1
        return place

    def server(self, item: Waiting, up: int, window: int | None, inside: int) -> ServerState | None:
        """What a server would take now: `inside` requests are on the `up` replicas or wait for them. Where all places
        are taken, those before it leave one after another, each after a time like its own. None: no replica is up."""
        places = up * (window or self.places)
        if not places:
            return None
        takes_ns = self.service.takes_ns(item)
        wait_ns = max(0, inside + 1 - places) * takes_ns // places
        first_ns = takes_ns - max(0, item.estimated_tok - 1) * self.service.output_ns
        return ServerState(wait_ns + first_ns, wait_ns + takes_ns, inside * 1_000_000 // places)

    def pace_ns(self, device: str, model: str, prompt_tok: int, output_tok: int) -> tuple[int, int]:
        """On the device: (to the first token, to the last), the download of a first visit included. A roofline."""
        found, there = self.registry.find(model), self.device(device)
        load_ns = found.download_ns(there)
        first_ns, last_ns = found.run_ns(there, prompt_tok, output_tok)
        return load_ns + first_ns, load_ns + last_ns


def _devices(rows: Sequence[Mapping[str, Any]]) -> dict[str, Device]:
    found: dict[str, Device] = {}
    for i, raw in enumerate(rows):
        name = raw.get("name", "")
        if not name or name in found:
            raise ValueError(f"hybrid.devices.{i}.name {name!r}: must be there, and once only")
        for key in raw:
            if key not in (*Device._fields, *_TEXTS):
                near = get_close_matches(key, Device._fields, n=1)
                raise ValueError(f"hybrid.devices.{i}.{key}: is unknown; " + (
                    f"did you mean {near[0]!r}?" if near else f"known: name, {', '.join(Device._fields)}"))
        values = {key: value for key, value in raw.items() if key not in _TEXTS}
        try:
            device = Device(**{**values, "stored": tuple(raw.get("stored", ()))})
        except TypeError as error:
            raise ValueError(f"hybrid.devices.{i}: {error}") from None
        for key in ("memory_bytes", "bytes_per_s", "flops_per_s", "downlink_bits_per_s"):
            whole(f"hybrid.devices.{i}.{key}", getattr(device, key))
        for key in ("half_floats", "wasm64", "metered", "charging"):
            if getattr(device, key).__class__ is not bool:
                raise ValueError(f"hybrid.devices.{i}.{key}: {getattr(device, key)!r}: must be true or false")
        if device.battery_ppm is not None:
            whole(f"hybrid.devices.{i}.battery_ppm", device.battery_ppm, 0)
        if not all(isinstance(one, str) for one in device.stored):
            raise ValueError(f"hybrid.devices.{i}.stored: {list(device.stored)!r}: must be ids of models")
        found[name] = device
    return found


def _service(values: Mapping[str, int]) -> Service:
    known = ("base_ns", "prompt_ns", "output_ns")
    for key in values:
        if key not in known:
            raise ValueError(f"hybrid.server.{key}: is unknown; known: {', '.join(known)}")
    return Service(**values)
