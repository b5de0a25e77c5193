"""Browser or server: arithmetic of the shipped data, every rule in its order, and what always holds."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.hybrid.browser_models import WASM32_BYTES, BrowserModel, BrowserModelRegistry, Device
from workbench.control.hybrid.router import Ask, HybridRouter, Place, ServerState

BROWSER = Path(__file__).parents[3] / "datasets/browser"
S = 1_000_000_000
SHIPPED = BrowserModelRegistry(tomllib.loads((BROWSER / "models.toml").read_text(encoding="utf-8"))["model"])


def shipped_devices() -> dict[str, Device]:
    rows = tomllib.loads((BROWSER / "devices.toml").read_text(encoding="utf-8"))["device"]
    return {row["name"]: Device(**{k: v for k, v in row.items() if k not in ("name", "source")}) for row in rows}


# round numbers: 1 GB of weights at 10 GB/s: 0.1 s a token; 1 GFLOP a prompt token at 1 TFLOPS: 1 ms; 8 Gbit: 80 s
MODEL = BrowserModel("m", "M", "webgpu", 500_000_000, 10**9, 10**9, 2 * 10**9, 4096, 10**8, True, 600_000)
DEVICE = Device(8 * 10**9, 10**10, 10**10, 10**12, 10**8, 4 * 10**9, half_floats=True, stored=("m",))
ASK, SERVER = Ask(1000, 11), ServerState(S // 2, S)
FRESH = DEVICE._replace(stored=())
HERE = Place("browser", "m", "fast enough here", S, 2 * S)


def decide(device: Device = DEVICE, ask: Ask = ASK, server: ServerState | None = SERVER, **options: int) -> Place:
    return HybridRouter(BrowserModelRegistry([MODEL]), **options).decide(0, device, ask, server)


def test_a_first_visit_takes_minutes_at_50_mbit_per_s() -> None:
    """The register of claims says 371 s, of 2.3 GB; the file's exact size gives 374 s."""
    model = SHIPPED.find("phi-3-mini-q4-wasm-2k")
    laptop = shipped_devices()["laptop-cpu"]
    assert model.download_ns(laptop) // S == 374
    assert model.download_ns(laptop._replace(stored=(model.id,))) == 0
    assert not model.why_not(laptop)


def test_a_7b_at_4_bits_exceeds_wasm32() -> None:
    model, huge = SHIPPED.find("llama-2-7b-q4-wasm-2k"), Device(2**40, 2**40, 1, 1, 1)
    assert model.memory_bytes > WASM32_BYTES == 4 * 2**30
    assert model.why_not(huge) == "needs 5196304498 bytes; wasm32 addresses 4294967296"
    assert not model.why_not(huge._replace(wasm64=True))


def test_the_shipped_bytes_follow_from_params_and_bits() -> None:
    bits_e4 = {"q4f16": 45_000, "q8-wasm": 85_000, "q4-wasm": 48_944}
    for model in SHIPPED.models():
        bits = next(value for part, value in bits_e4.items() if part in model.id)
        assert model.weight_bytes == model.download_bytes == pytest.approx(model.params * bits // 80_000, abs=1)
        assert model.source


def test_which_models_fit_which_device() -> None:
    fits = {name: [m.id for m in SHIPPED.fitting(device)[0]] for name, device in shipped_devices().items()}
    assert fits["phone"] == ["tinyllama-1.1b-q4f16-1k", "qwen2.5-0.5b-q8-wasm-2k"]
    assert fits["laptop-cpu"] == ["qwen2.5-0.5b-q8-wasm-2k", "phi-3-mini-q4-wasm-2k"]
    assert len(fits["laptop-gpu"]) == len(fits["desktop-gpu"]) == 6


@pytest.mark.parametrize(("device", "why"), [
    (DEVICE, ""),
    (DEVICE._replace(gpu_bytes=0), "no WebGPU"),
    (DEVICE._replace(half_floats=False), "no shader-f16"),
    (DEVICE._replace(buffer_bytes=10**8 - 1), "a buffer of 100000000 bytes; it binds at most 99999999"),
    (DEVICE._replace(gpu_bytes=2 * 10**9 - 1), "needs 2000000000 bytes of 1999999999 for the GPU"),
    (FRESH._replace(storage_bytes=10**9), ""),
    (FRESH._replace(storage_bytes=10**9 - 1), "its 1000000000 bytes cannot be stored in 999999999"),
    (DEVICE._replace(storage_bytes=0), ""),
])
def test_what_a_device_lacks(device: Device, why: str) -> None:
    assert MODEL.why_not(device) == why


def test_times_are_a_roofline() -> None:
    assert MODEL.run_ns(DEVICE, 1000, 11) == (S, 2 * S)
    assert MODEL.run_ns(DEVICE, 10, 1) == (S // 10, S // 10)  # a short prompt still reads the weights once
    assert MODEL.download_ns(FRESH) == 80 * S


@pytest.mark.parametrize(("place", "expected"), [
    (decide(), HERE),
    (decide(server=ServerState(1, S - 1)), Place("server", "", "the server is faster", 1, S - 1)),
    (decide(server=ServerState(1, 2 * S), slower_ppm=0), HERE),
    (decide(server=ServerState(1, 2 * S - 1), slower_ppm=0), Place("server", "", "the server is faster", 1, 2 * S - 1)),
    (decide(server=ServerState(1, 1, 900_000)), HERE._replace(reason="the servers are busy")),
    (decide(ask=ASK._replace(wait_ns=S - 1), server=ServerState(1, 1, 900_000)),
     Place("server", "", "the server is faster", 1, 1)),
    (decide(FRESH), Place("server", "", "a first visit: the download takes too long", S // 2, S, "m")),
    (decide(FRESH._replace(metered=True)), Place("server", "", "the line is metered", S // 2, S)),
    (decide(FRESH, ASK._replace(wait_ns=81 * S), ServerState(1, 41 * S)),
     HERE._replace(first_ns=81 * S, last_ns=82 * S)),
    (decide(FRESH, ASK._replace(keep="device")),
     Place("browser", "m", "nothing may leave the device", 81 * S, 82 * S)),
    (decide(FRESH, server=None), Place("browser", "m", "no server can be reached", 81 * S, 82 * S)),
    (decide(DEVICE._replace(battery_ppm=199_999, charging=False)),
     Place("server", "", "the battery is low", S // 2, S)),
    (decide(DEVICE._replace(battery_ppm=199_999)), HERE),
    (decide(DEVICE._replace(battery_ppm=200_000, charging=False)), HERE),
    (decide(DEVICE._replace(battery_ppm=1, charging=False), ASK._replace(keep="device")),
     HERE._replace(reason="nothing may leave the device")),
    (decide(ask=ASK._replace(keep="server")), Place("server", "", "the user's choice", S // 2, S)),
    (decide(ask=ASK._replace(keep="server"), server=None).where, "nowhere"),
    (decide(ask=ASK._replace(floor_ppm=600_001)).reason, "no model that fits reaches the quality of 600001 ppm"),
    (decide(ask=Ask(4000, 97)).reason, "no model that fits and is good enough takes 4097 tokens"),
    (decide(DEVICE._replace(gpu_bytes=0)).reason, "no model fits the device: m: no WebGPU"),
    (decide(DEVICE._replace(gpu_bytes=0), ASK._replace(keep="device")),
     Place("nowhere", "", "nothing may leave the device; no model fits the device: m: no WebGPU")),
])
def test_the_rules_in_their_order(place: Any, expected: Any) -> None:
    assert place == expected


BIG, RATE = st.integers(0, 10**10), st.integers(10**6, 10**12)
DEVICES = st.builds(
    Device, BIG, BIG, RATE, RATE, RATE, BIG, st.sampled_from([10**8, 3 * 10**8]), st.booleans(), st.booleans(),
    st.booleans(), st.sampled_from([None, 100_000, 900_000]), st.booleans(),
    st.sampled_from([(), ("tinyllama-1.1b-q4f16-1k",), tuple(m.id for m in SHIPPED.models())]),
)
KEEPS = st.sampled_from(["any", "device", "server"])
ASKS = st.builds(Ask, st.integers(1, 3000), st.integers(1, 500), st.just(0), KEEPS, st.integers(0, 10**12))
SERVERS = st.none() | st.builds(ServerState, st.integers(0, 10**10), st.integers(0, 10**11), st.integers(0, 10**6))


@given(DEVICES, ASKS, SERVERS)
def test_what_always_holds(device: Device, ask: Ask, server: ServerState | None) -> None:
    place = HybridRouter(SHIPPED).decide(0, device, ask, server)
    assert place.reason
    if ask.keep == "device":
        assert place.where != "server"
    if ask.keep == "server" or not SHIPPED.fitting(device)[0]:
        assert place.where != "browser"
    assert (place.where == "server") <= (server is not None)
    if place.where == "browser":
        model = SHIPPED.find(place.model)
        assert not model.why_not(device)
        assert ask.prompt_tok + ask.estimated_tok <= model.context_tok
        others = [m for m in SHIPPED.fitting(device)[0] if ask.prompt_tok + ask.estimated_tok <= m.context_tok]
        assert place.last_ns == min(m.download_ns(device) + m.run_ns(device, ask.prompt_tok, ask.estimated_tok)[1]
                                    for m in others)
        if ask.keep == "any" and server is not None and place.model not in device.stored:
            assert not device.metered
            assert place.first_ns <= ask.wait_ns
    if place.fetch:
        assert not device.metered
        assert place.fetch not in device.stored


@pytest.mark.parametrize(("raw", "message"), [
    ([MODEL, MODEL], "models.1: 'm' is there twice"),
    ([{"id": "x", "runtim": "wasm"}], r"models.0.runtim: is unknown; did you mean 'runtime'"),
    ([{"id": "x"}], "models.0: .*missing"),
    ([MODEL._replace(runtime="webgl")], "m: runtime 'webgl'"),
    ([MODEL._replace(params=0)], "m: params 0"),
    ([MODEL._replace(memory_bytes=1)], "memory_bytes 1: less than its weights"),
])
def test_bad_registries_say_where(raw: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BrowserModelRegistry(raw)


def test_an_unknown_model_has_a_suggestion() -> None:
    with pytest.raises(ValueError, match="did you mean 'phi-2-q4f16-2k'"):
        SHIPPED.find("phi-2-q4f16")
