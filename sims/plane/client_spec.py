"""The `[client]` table: what clients say, how long they wait, and what they do when they got nothing."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal

from pydantic import Field

from sims.plane.clients import Clients, Habits, meant
from sims.scenario import Seconds
from workbench.config import Settings
from workbench.control.plane.draws import Draws
from workbench.control.plane.events import Arrived
from workbench.runlog.schema import Planned


class AgainSpec(Settings):
    """Whoever got no answer asks again, `most` times in all; a wrong key or name is not asked again.

    The first wait is `wait_s`, each next one `factor` times as long, at most `longest_s`, and at least as long as a
    refusal said unless `obeys` is false. `spread_frac` of each wait is drawn (1: full jitter).
    """

    most: int = Field(default=3, ge=1, le=1000)
    wait_s: float = Field(default=1.0, ge=0)
    factor: float = Field(default=1.0, ge=1, le=100)
    longest_s: Seconds | None = None
    spread_frac: float = Field(default=0.0, ge=0, le=1)
    obeys: bool = True


class DeviceSpec(Settings):
    """A part of the requests comes from this class of devices. `keep`: what may not leave it, or not run on it."""

    device: str = ""
    share: float = Field(default=1.0, gt=0, le=1e9)
    keep: Literal["any", "device", "server"] = "any"


class ClientSpec(Settings):
    """What clients say and do. `asked_frac` of the requests ask one of `questions` whose answers may be kept, the
    popular ones more often; lengths are drawn for each request all the same."""

    model: str = ""
    estimated_tok: int | None = Field(default=None, ge=1)  # a guess of every output; without: the prompt's length
    max_tok: int = Field(default=0, ge=0)  # the most output they ask for
    deadline_s: Seconds | None = None
    patience_s: Seconds | None = None  # without a first token by then they leave
    questions: int = Field(default=0, ge=0)
    asked_frac: float = Field(default=0.0, ge=0, le=1)
    retries: AgainSpec | None = None
    devices: tuple[DeviceSpec, ...] = ()

    def but(self, own: "ClientSpec | None") -> "ClientSpec":
        """With what another one says in place of it."""
        return self if own is None else self.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})

    def habits(self) -> Habits:
        patience_ns, again = None if self.patience_s is None else ns(self.patience_s), self.retries
        if again is None:
            return Habits(patience_ns)
        longest_ns = None if again.longest_s is None else ns(again.longest_s)
        return Habits(patience_ns, again.most, ns(again.wait_s), again.factor, longest_ns, again.spread_frac,
                      again.obeys)


def client_of(specs: Mapping[str, ClientSpec]) -> Callable[[Planned], ClientSpec]:
    """`specs` by what begins a request's id; the one of "" is everybody else's."""
    other = specs[""]
    if len(specs) == 1:
        return lambda _: other

    def of(plan: Planned) -> ClientSpec:
        return specs.get(workload_of(plan.request_id), other)
    return of


def workload_of(request_id: str) -> str:
    return meant(request_id).rpartition("-")[0]


def clients_of(specs: Mapping[str, ClientSpec], seed: int) -> Clients:
    habits, of = {id(one): one.habits() for one in specs.values()}, client_of(specs)
    return Clients(lambda plan: habits[id(of(plan))], seed)


def arrivals(schedule: Sequence[Planned], specs: Mapping[str, ClientSpec], control: Mapping[str, Any], seed: int,
             clients: Clients) -> Callable[[Planned], Arrived]:
    """What the plane is told. A tenant's first key is its clients'; who has none comes without."""
    keys, of = _keys(control), client_of(specs)
    asked, devices = _questions(schedule, specs, seed), _devices(schedule, specs, seed)

    def told(plan: Planned) -> Arrived:
        client, name, prompt_tok = of(plan), meant(plan.request_id), plan.asked_prompt_tok
        deadline_ns = None
        if client.deadline_s is not None:  # a repetition has a deadline of its own
            deadline_ns = clients.sent_ns.get(plan.request_id, plan.intended_ns or 0) + ns(client.deadline_s)
        device, keep = devices.get(name, ("", "any"))
        return Arrived(
            plan.request_id, plan.tenant, plan.tenant, keys.get(plan.tenant, ""), plan.tier, client.model, prompt_tok,
            client.estimated_tok or prompt_tok, client.max_tok, deadline_ns, plan.priority, asked.get(name, ""), "",
            plan.prefix_ids, device, keep)

    return told


def _keys(control: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in control.get("auth", {}).get("keys", ()):
        found.setdefault(key["tenant"], key["digest"])
    return found


def _streams(schedule: Sequence[Planned], specs: Mapping[str, ClientSpec], seed: int, name: str) -> Any:
    """Each request with its client's spec and a stream of its workload's own: who changes one leaves the others."""
    of, streams = client_of(specs), dict[str, Draws]()
    for plan in schedule:
        own = workload_of(plan.request_id)
        if own not in streams:
            streams[own] = Draws(seed, f"{name}/{own}" if own else name)
        yield plan, of(plan), streams[own]


def _questions(schedule: Sequence[Planned], specs: Mapping[str, ClientSpec], seed: int) -> dict[str, str]:
    """Two draws a request, used or not: variants stay on common random numbers. Popularity falls as 1/sqrt(rank)."""
    found = dict[str, str]()
    if not any(one.questions for one in specs.values()):
        return found
    for plan, client, draws in _streams(schedule, specs, seed, "questions"):
        asks, which = draws.random() < client.asked_frac, draws.random()
        if asks and client.questions:
            found[plan.request_id] = f"question {int(which * which * client.questions)}"
    return found


def _devices(schedule: Sequence[Planned], specs: Mapping[str, ClientSpec],
             seed: int) -> dict[str, tuple[str, Literal["any", "device", "server"]]]:
    found = dict[str, tuple[str, Literal["any", "device", "server"]]]()
    if not any(one.devices for one in specs.values()):
        return found
    for plan, client, draws in _streams(schedule, specs, seed, "devices"):
        point = draws.random() * sum(one.share for one in client.devices)
        for one, edge in zip(client.devices, accumulate(one.share for one in client.devices), strict=True):
            if point < edge:
                found[plan.request_id] = one.device, one.keep
                break
    return found


def ns(seconds: float) -> int:
    return round(seconds * 1e9)
