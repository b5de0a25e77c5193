"""At arrival: does the client's own device compute? Then the request is over for the plane."""

from workbench.control.hybrid.part import UnknownDevice
from workbench.control.plane.desk import Desk
from workbench.control.plane.ending import answer, refuse
from workbench.control.plane.events import Arrived
from workbench.control.plane.inside import Inside


def computed_there(desk: Desk, now_ns: int, state: Inside, event: Arrived) -> bool:
    """True: it has ended, on its device or nowhere. What may not leave the device never goes to a server, also where
    the plane knows nothing of devices. Its limits count the request and no tokens; nothing is charged, and no usage is
    recorded: what a device computes costs its owner, not the provider."""
    hybrid = desk.hybrid
    if hybrid is None or not event.device:
        if event.keep != "device":
            return False
        refuse(desk, now_ns, state, "rejected", 503, "nothing may leave the device; " + (
            "this plane has no [control.hybrid]" if hybrid is None else "the request names no device"))
        return True
    up, out = desk.fleet.load(state.pool)
    server = hybrid.server(state.item, up, desk.fleet.window, out + len(desk.lines[state.pool]))
    try:
        place = hybrid.decide(now_ns, state.item, event.device, event.keep, server)
    except UnknownDevice as error:
        refuse(desk, now_ns, state, "rejected", 400, str(error))
        return True
    if place.where == "browser":
        answer(desk, now_ns, state, "device", place.model)
    elif place.where == "nowhere":
        refuse(desk, now_ns, state, "rejected", 503, place.reason)
    return place.where != "server"
