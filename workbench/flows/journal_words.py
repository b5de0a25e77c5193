"""Events and decisions of the control plane in words."""

from workbench.control.plane.events import (
    Alarm,
    Answer,
    Arrived,
    Cancel,
    Charge,
    Decision,
    Event,
    Finish,
    FirstToken,
    Gone,
    Heartbeat,
    Left,
    Notice,
    Progress,
    Reject,
    Release,
    ReplicaDown,
    ReplicaUp,
    Report,
    Shift,
    Start,
    Stop,
    Wake,
)
from workbench.text import one_line

REMEDIES: tuple[tuple[int, str, str], ...] = (  # status, what its reason says, what to do
    (429, "limit", "send less, wait as long as it says, or raise that level in [control.limits] or the tenant's plan"),
    (429, "quota", "wait for the next period, or raise the user's quota in [control.auth] quotas"),
    (429, "queue", "send less at once, or raise queue.tenant_limit or the tenant's plan"),
    (401, "", "send a key that [control.auth] keys knows"),
    (403, "", "give the key the scope for this model, or the tenant a place in [control.tenants]"),
    (404, "", "ask for a model that [control.models] and a replica of the tenant's pool have"),
    (400, "", "ask for fewer tokens, or for a model with a longer context"),
    (413, "", "ask for fewer tokens, or give [control.allocator] more memory"),
    (503, "device", "name a device that [control.hybrid] knows, or let the request leave it"),
    (503, "", "more replicas, less load, or a longer line: queue.limit"),
    (504, "", "more replicas, a later deadline, or an order that looks at deadlines: scheduling = \"edf\""),
)


def seconds(span_ns: int) -> str:
    """A span that reads well: 12.3 ms, 1.20 s."""
    return f"{span_ns / 1e6:.1f} ms" if abs(span_ns) < 10**9 else f"{span_ns / 1e9:.2f} s"


def remedy(end: Reject) -> str:
    reason = end.reason.lower()
    return next((text for status, part, text in REMEDIES if status == end.status and part in reason), "")


def event(item: Event) -> str:
    """One line, whatever the names in it are."""
    return one_line(_event(item))


def _event(item: Event) -> str:
    match item:
        case Arrived():
            model = f" {item.model}" if item.model else ""
            most = item.max_tok or item.estimated_tok
            return f"{item.request_id} arrives from {item.tenant}:{model} {item.prompt_tok} + {most} tokens"
        case FirstToken(request_id, attempt):
            return f"{request_id} first token of attempt {attempt}"
        case Progress(request_id, attempt, output_tok):
            return f"{request_id} {output_tok} tokens of attempt {attempt} are out"
        case Left():
            return f"{item.request_id} attempt {item.attempt} is over: {left(item)}"
        case Gone(request_id):
            return f"{request_id} its client gives up"
        case Report(replica, _, waiting, running, kv_used_ppm):
            return f"replica {replica} reports {waiting} waiting, {running} running, KV {kv_used_ppm / 1e4:.0f} % used"
        case ReplicaUp(replica, token):
            return f"replica {replica} serves" + (f" (token {token})" if token else "")
        case ReplicaDown(replica):
            return f"replica {replica} is down"
        case Heartbeat(node):
            return f"node {node} is alive"
        case Notice(replica, at_ns):
            return f"replica {replica} will be taken away at {at_ns / 1e9:.3f} s"
    return "a wake that was asked for"


def left(item: Left) -> str:
    if item.outcome != "ok":
        return f"{item.outcome}{': ' + item.error if item.error else ''}"
    cached = f" ({item.cached_tok} of them cached)" if item.cached_tok else ""
    return f"ok, {item.prompt_tok} prompt tokens{cached}, {item.output_tok} output tokens"


SCALES = {  # unit -> how many make one shown, what stands before and after it, least digits
    "milli_rate": (10**3, "", "x", 1), "milli_spread": (10**3, "", " spreads", 1), "ppm": (10**4, "", " %", 1),
    "us": (10**3, "", " ms", 1), "pusd": (10**12, "USD ", "", 4), "": (1, "", "", 0)}


def alarm(what: str, severity: str, value: int, limit: int, unit: str = "") -> str:
    """`page: gold burns: fast, 5.4x of 5x`; without a limit (of a detector that learns it) the value alone. With so
    many digits that one sees which is more."""
    scale, before, after, least = SCALES.get(unit, (1, "", f" {unit}", 0))
    many = next((n for n in range(least, 13) if round(value / scale, n) != round(limit / scale, n)), least)
    most = f"{limit / scale:,.{many}f}"
    if unit != "pusd" and "." in most:
        most = most.rstrip("0").rstrip(".")
    return f"{severity}: {what}, {before}{value / scale:,.{many}f}{after}" + (f" of {most}{after}" if limit else "")


def decision(item: Decision) -> str:
    """One line, without the request's id."""
    return one_line(_decision(item))


def _decision(item: Decision) -> str:
    match item:
        case Reject():
            again = "" if item.retry_after_ns is None else f"; come again in {seconds(item.retry_after_ns)}"
            return f"{item.outcome} {item.status}: {item.reason}{again}"
        case Answer(_, source, answer_of):
            return {"cache": f"answered from the cache: what {answer_of} got",
                    "flight": f"answered with what was just computed for {answer_of}",
                    "device": f"its own device computes it, with {answer_of}"}[source]
        case Release(_, attempt, replica, model):
            return f"released to replica {replica} (attempt {attempt}{', ' + model if model else ''})"
        case Cancel(_, attempt, replica, why):
            return f"attempt {attempt} at replica {replica} is cancelled: {why}"
        case Finish(_, outcome, reason, attempts):
            return f"ends {outcome} after {attempts} attempt{'s'[:attempts != 1]}" + (f": {reason}" if reason else "")
        case Charge(_, tenant, price_pusd, _):
            return f"{tenant} is charged {price_pusd / 1e12:.9f} USD ({price_pusd} pico-USD)"
        case Start(replica, _, node, why):
            return f"start replica {replica}{' on ' + node if node else ''}: {why}"
        case Stop(replica, why):
            return f"stop replica {replica}: {why}"
        case Alarm(what, severity, value, limit, unit):
            return alarm(what, severity, value, limit, unit)
        case Shift(alias, act, share_ppm, reason):
            return f"{alias}: {act} at {share_ppm / 1e4:g} %: {reason}"
        case Wake(at_ns):
            return f"wake at {at_ns / 1e9:.6f} s"
