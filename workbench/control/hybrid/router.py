"""Where a request is computed: on the user's device or on a server."""

from typing import Literal, NamedTuple

from workbench.control.hybrid.browser_models import BrowserModel, BrowserModelRegistry, Device
from workbench.control.limits.answer import whole

Keep = Literal["any", "device", "server"]  # device: nothing may leave it. server: the user does not want to compute


class Ask(NamedTuple):
    """`wait_ns`: how long the user waits for a first token; downloads of a first visit count."""

    prompt_tok: int
    estimated_tok: int
    floor_ppm: int = 0
    keep: Keep = "any"
    wait_ns: int = 10_000_000_000


class ServerState(NamedTuple):
    """What the control plane estimates for this request if it is sent to a server now; `load_ppm` of its capacity."""

    first_ns: int
    last_ns: int
    load_ppm: int = 0


class Place(NamedTuple):
    """`fetch`: a model to download in the background for the next time."""

    where: Literal["browser", "server", "nowhere"]
    model: str
    reason: str
    first_ns: int = 0
    last_ns: int = 0
    fetch: str = ""


class HybridRouter:
    """In this order: what must stay stays; what does not fit, or is not good enough, goes; a low battery is spared; a
    first visit does not wait for a download that is longer than the user's patience (it is fetched in the background,
    unless the line is metered); a server at `busy_ppm` of its load sheds to whoever can do it in time; otherwise the
    browser computes if its last token comes at most `slower_ppm` of the server's later (what that saves is yours).

    Among the models that fit: the fastest to the last token, download included; ties in order of registration.
    """

    def __init__(self, registry: BrowserModelRegistry, battery_ppm: int = 200_000, busy_ppm: int = 900_000,
                 slower_ppm: int = 1_000_000) -> None:
        self.registry, self.battery_ppm = registry, whole("battery_ppm", battery_ppm, 0)
        self.busy_ppm, self.slower_ppm = whole("busy_ppm", busy_ppm, 0), whole("slower_ppm", slower_ppm, 0)

    def decide(self, now_ns: int, device: Device, ask: Ask, server: ServerState | None) -> Place:  # noqa: ARG002 - every policy is told the time
        """`server` None: none can be reached."""
        able, refused = self.registry.fitting(device)
        local = _here(able, device, ask)
        if ask.keep == "device" or server is None:
            why = "nothing may leave the device" if ask.keep == "device" else "no server can be reached"
            if local is not None and (ask.keep != "server"):
                return local._replace(reason=why)
            return Place("nowhere", "", f"{why}; {_lack(able, refused, ask)}")
        away = Place("server", "", "", server.first_ns, server.last_ns)
        if ask.keep == "server":
            return away._replace(reason="the user's choice")
        if local is None:
            return away._replace(reason=_lack(able, refused, ask))
        if device.battery_ppm is not None and not device.charging and device.battery_ppm < self.battery_ppm:
            return away._replace(reason="the battery is low")
        missing = local.model not in device.stored
        late = local.first_ns > ask.wait_ns
        fetch = local.model if missing and not device.metered else ""
        if missing and (late or device.metered):
            why = "the line is metered" if device.metered else "a first visit: the download takes too long"
            return away._replace(reason=why, fetch=fetch)
        if server.load_ppm >= self.busy_ppm and not late:
            return local._replace(reason="the servers are busy")
        if local.last_ns * 1_000_000 <= server.last_ns * (1_000_000 + self.slower_ppm):
            return local._replace(reason="fast enough here")
        return away._replace(reason="the server is faster", fetch=fetch)


def _here(models: list[BrowserModel], device: Device, ask: Ask) -> Place | None:
    """Of those that are good enough and take so many tokens, the first to its last token."""
    best, first_ns, last_ns = "", 0, 0
    prompt_tok, output_tok = ask.prompt_tok, ask.estimated_tok
    for model in models:
        if model.quality_ppm < ask.floor_ppm or model.context_tok < prompt_tok + output_tok:
            continue
        load = model.download_ns(device)
        if best and load >= last_ns:
            continue  # the download alone takes longer
        first, last = model.run_ns(device, prompt_tok, output_tok)
        if not best or load + last < last_ns:
            best, first_ns, last_ns = model.id, load + first, load + last
    return Place("browser", best, "", first_ns, last_ns) if best else None


def _lack(able: list[BrowserModel], refused: list[str], ask: Ask) -> str:
    if not able:
        return "no model fits the device: " + ("; ".join(refused) or "the registry is empty")
    if all(model.quality_ppm < ask.floor_ppm for model in able):
        return f"no model that fits reaches the quality of {ask.floor_ppm} ppm"
    return f"no model that fits and is good enough takes {ask.prompt_tok + ask.estimated_tok} tokens"
