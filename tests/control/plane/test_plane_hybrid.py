"""Browser or server inside the plane: what stays stays, what goes goes by the plane's own count of its servers."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.control.hybrid.router import ServerState
from workbench.control.plane.build import plane_of
from workbench.control.plane.events import Answer, Arrived, Charge, Left, Reject, Release, ReplicaDown, Wake
from workbench.control.request import Waiting

S = 10**9
MODEL = {"id": "m", "model": "M", "runtime": "webgpu", "params": 500_000_000, "download_bytes": 10**9,
         "weight_bytes": 10**9, "memory_bytes": 2 * 10**9, "context_tok": 4096}
LAPTOP = {"name": "laptop", "memory_bytes": 8 * 10**9, "storage_bytes": 10**10, "bytes_per_s": 10**10,
          "flops_per_s": 10**12, "downlink_bits_per_s": 10**8, "gpu_bytes": 4 * 10**9, "stored": ["m"]}
OLD = {**LAPTOP, "name": "old", "gpu_bytes": 0, "stored": []}
HYBRID = {"models": [MODEL], "devices": [LAPTOP, OLD], "places": 4, "busy_ppm": 750_000, "slower_ppm": 0,
          "server": {"base_ns": S // 10, "prompt_ns": S // 10_000, "output_ns": S // 100}}
FACTS: Mapping[str, Any] = {
    "replicas": 1, "window": 4, "hybrid": HYBRID,
    "sla": {"window_ns": 60 * S, "targets": {"standard": {"ttft_ns": 5 * S}}},
    "billing": {"prices": [{"model": "*", "kind": "input", "flat": 1000}, {"model": "*", "kind": "output", "flat": 1}]},
    "limits": {"levels": [{"name": "tokens", "by": "tenant", "parameters": {"amount": 6000, "per_ns": 1000 * S}}]},
}


def asks(name: str, device: str = "laptop", keep: Any = "any", **more: Any) -> Arrived:
    return Arrived(name, prompt_tok=1000, estimated_tok=11, device=device, keep=keep, **more)


def test_the_faster_one_computes_until_the_servers_are_busy() -> None:
    """Alone, the server is done after 0.31 s, the laptop after 2 s; with three of four places taken the laptop is."""
    plane = plane_of(FACTS)
    for name in "abc":
        assert isinstance(plane.on(0, asks(name))[0], Release)
    assert plane.on(0, asks("d")) == (Answer("d", "device", "m"),)
    plane.on(1, Left("a", 1, "ok", 1000, 0, 11))
    assert isinstance(plane.on(1, asks("e"))[0], Release)
    plane.check()


def test_a_line_before_the_servers_sends_to_the_device() -> None:
    """One place, and never busy by load: with 7 waiting, the server's last token comes after the laptop's 2 s."""
    hybrid = {**HYBRID, "busy_ppm": 10**9, "places": 1}
    plane = plane_of({"replicas": 1, "window": 1, "hybrid": hybrid})
    for i in range(9):  # each takes 0.31 s: with i before it the last token comes at (i + 1) x 0.31 s
        decided = plane.on(0, asks(f"r{i}"))
        assert any(isinstance(one, Answer) for one in decided) == ((i + 1) * 31 >= 200)


def test_what_must_not_leave_the_device_never_does() -> None:
    plane = plane_of(FACTS)
    assert plane.on(0, asks("a", keep="device")) == (Answer("a", "device", "m"),)
    assert plane.on(0, asks("b", "old", "device")) == (
        Reject("b", "rejected", 503, "nothing may leave the device; no model fits the device: m: no WebGPU"),)
    assert plane.on(0, asks("c", "", "device")) == (
        Reject("c", "rejected", 503, "nothing may leave the device; the request names no device"),)
    assert plane_of({}).on(0, asks("d", keep="device")) == (
        Reject("d", "rejected", 503, "nothing may leave the device; this plane has no [control.hybrid]"),)
    assert isinstance(plane.on(0, asks("e", "old"))[0], Release)
    assert plane.on(0, asks("f", "lapto"))[0] == Reject(
        "f", "rejected", 400, "device 'lapto' is unknown; did you mean 'laptop'?")


def test_without_a_server_the_device_computes_or_nobody() -> None:
    plane = plane_of(FACTS)
    plane.on(0, ReplicaDown(0))
    assert plane.on(0, asks("a")) == (Answer("a", "device", "m"),)
    assert plane.on(0, asks("b", keep="server"))[0] == Reject(
        "b", "rejected", 503, "no server can be reached; no model that fits and is good enough takes 1011 tokens")


def test_a_devices_tokens_cost_nothing_and_say_nothing_of_the_servers() -> None:
    plane = plane_of(FACTS)
    for i in range(9):  # 9 x 1011 tokens: more than the limit has
        assert plane.on(0, asks(f"d{i}", keep="device")) == (Answer(f"d{i}", "device", "m"),)
    desk = plane.desk
    assert desk.billing is not None
    assert desk.sla is not None
    assert desk.hybrid is not None
    assert desk.billing.ledger.group("revenue") == 0
    assert desk.sla.attained(1, "standard").ppm is None
    assert desk.tally.answered == 9
    assert desk.hybrid.decided == {"browser": 9, "server": 0, "nowhere": 0}
    plane.on(1, asks("s", ""))
    assert any(isinstance(one, Charge) for one in plane.on(2, Left("s", 1, "ok", 1000, 0, 11)))


def test_the_servers_estimate_is_the_planes_own_count() -> None:
    hybrid = plane_of(FACTS).desk.hybrid
    assert hybrid is not None
    item = Waiting("x", prompt_tok=1000, estimated_tok=11)
    assert hybrid.server(item, 2, 4, 7) == ServerState(S // 5 + S // 100, 31 * S // 100, 875_000)
    takes = 31 * S // 100
    assert hybrid.server(item, 2, 4, 15) == ServerState(takes + 21 * S // 100, 2 * takes, 1_875_000)
    assert hybrid.server(item, 1, None, 4) == ServerState(takes // 4 + 21 * S // 100, takes // 4 + takes, 10**6)
    assert hybrid.server(item, 0, 4, 0) is None


def test_a_first_visits_download_is_in_the_devices_times() -> None:
    """1 s for the prompt, 0.1 s a token, and 80 s for 8 Gbit where the model is not stored yet."""
    fresh = {**LAPTOP, "name": "fresh", "stored": []}
    hybrid = plane_of({"hybrid": {**HYBRID, "devices": [LAPTOP, fresh]}}).desk.hybrid
    assert hybrid is not None
    assert hybrid.pace_ns("laptop", "m", 1000, 11) == (S, 2 * S)
    assert hybrid.pace_ns("fresh", "m", 1000, 11) == (81 * S, 82 * S)


@given(st.lists(st.tuples(st.sampled_from(["", "laptop", "old"]), st.sampled_from(["any", "device", "server"]),
                          st.booleans()), max_size=30))
def test_each_ends_once_wherever_it_is_computed(who: list[tuple[str, str, bool]]) -> None:
    plane = plane_of({**FACTS, "queue": {"limit": 3}})
    for i, (device, keep, leaves) in enumerate(who):
        decided = plane.on(i, asks(f"r{i}", device, keep))
        if keep == "device":
            assert not any(isinstance(one, Release) and one.request_id == f"r{i}" for one in decided)
        if leaves:
            for one in decided:
                if isinstance(one, Release):
                    plane.on(i, Left(one.request_id, 1, "ok", 1000, 0, 11))
        plane.check()


@pytest.mark.parametrize(("change", "says"), [
    ({"devices": [{**LAPTOP, "memory_byte": 1}]}, "control.hybrid.devices.0.memory_byte: is unknown; did you mean"),
    ({"devices": [{**LAPTOP, "battery_ppm": {}}]}, "control.hybrid.devices.0.battery_ppm"),
    ({"devices": [{**LAPTOP, "metered": 1}]}, "control.hybrid.devices.0.metered: 1: must be true or false"),
    ({"devices": [{**LAPTOP, "stored": [[]]}]}, r"control.hybrid.devices.0.stored: \[\[\]\]: must be ids of models"),
    ({"devices": [LAPTOP, LAPTOP]}, "control.hybrid.devices.1.name 'laptop': must be there, and once only"),
    ({"devices": [{"name": "x"}]}, "control.hybrid.devices.0: "),
    ({"devices": [{**LAPTOP, "flops_per_s": 0}]}, "control.hybrid.devices.0.flops_per_s 0: must be a whole number of"),
    ({"models": [{**MODEL, "idd": 1}]}, "control.hybrid.models.0.idd: is unknown; did you mean 'id'?"),
    ({"server": {"base": 1}}, "control.hybrid.server.base: is unknown; known: base_ns"),
    ({"busy": 1}, "control.hybrid: part 'hybrid': parameter 'busy' is unknown; did you mean 'busy_ppm'?"),
    ({"wait_ns": 1.5}, "control.hybrid.wait_ns 1.5: must be a whole number"),
])
def test_a_wrong_table_is_one_clear_line(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match="^" + says.replace("?", r"\?").replace(".", r"\.").replace("(", r"\(")):
        plane_of({"hybrid": {**HYBRID, **change}})


def test_a_wake_is_not_needed_for_a_device() -> None:
    assert not any(isinstance(one, Wake) for one in plane_of(FACTS).on(0, asks("a", keep="device")))
