"""What happened to one request and why: its part of the journal, told while a fresh plane replays the whole of it.

The journal says what was decided; what the parts of the plane made of the request is read from the replayed plane.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sims.plane.custom import blamed
from workbench.control.plane.build import Custom, plane_of
from workbench.control.plane.events import Answer, Arrived, Cancel, Event, Finish, Left, Reject, Release, Stop
from workbench.control.plane.inside import Inside
from workbench.control.plane.journal import Entry, PlaneJournal
from workbench.errors import Failure, UsageError
from workbench.flows import journal_words as words
from workbench.flows.journal import unknown_request
from workbench.text import one_line

AT = {"queued": "in line", "held": "next in line, with no place", "following": "for another's answer",
      "later": "for its retry", "out": "at replicas"}
ENDS = (Reject, Answer, Finish)


class Step(NamedTuple):
    after_ns: int  # since its arrival
    text: str


@dataclass
class Story:
    """`spent_ns` by where it was; `end` as the run log calls it."""

    request_id: str
    at_ns: int
    steps: list[Step] = field(default_factory=list)
    spent_ns: dict[str, int] = field(default_factory=dict)
    end: str = "unfinished"

    def say(self, now_ns: int, text: str) -> None:
        self.steps.append(Step(now_ns - self.at_ns, one_line(text)))

    def as_json(self) -> dict[str, Any]:
        return {"request_id": self.request_id, "arrived_ns": self.at_ns, "end": self.end, "spent_ns": self.spent_ns,
                "steps": [{"after_ns": step.after_ns, "text": step.text} for step in self.steps]}

    def lines(self) -> list[str]:
        """Plain text: times since it arrived, then where the time went."""
        told = [f"{one_line(self.request_id)}: arrived at {self.at_ns / 1e9:.6f} s, ended {self.end}"]
        told += [f"{'+' + words.seconds(step.after_ns):>12}  {step.text}" for step in self.steps]
        spent = ", ".join(f"{words.seconds(span)} {AT[place]}" for place, span in self.spent_ns.items() if span)
        return [*told, f"{'in all':>12}  {words.seconds(sum(self.spent_ns.values()))}: {spent or 'at once'}"]


def explain(journal: PlaneJournal, request_id: str, own: Custom) -> Story:
    """UsageError: no such request. Failure: the journal does not replay, so nothing of it can be explained."""
    arrival = next((entry for entry in journal.entries
                    if isinstance(entry.event, Arrived) and entry.event.request_id == request_id), None)
    if arrival is None:
        raise unknown_request(journal, request_id)
    try:
        teller = _Teller(journal, Story(request_id, arrival.now_ns), own)
        with blamed(own):
            for entry in journal.entries:
                teller.hear(entry)
    except ValueError as error:
        raise UsageError(f"the journal cannot be replayed: {error}") from None
    return teller.story


class _Teller:
    """Replays until the request has ended; what is told of it afterwards came late."""

    def __init__(self, journal: PlaneJournal, story: Story, own: Custom) -> None:
        self.plane, self.story, self.facts = plane_of(journal.facts, own), story, journal.facts
        self.tenant_of: dict[str, str] = {}
        self.at: dict[int, int] = {}  # its own attempts that are out -> replica
        self.meanwhile: Counter[str] = Counter()  # releases of others since it began to wait, by tenant
        self.state: Inside | None = None
        self.place, self.since_ns, self.over = "", story.at_ns, False

    def hear(self, entry: Entry) -> None:
        name, event = self.story.request_id, entry.event
        mine = getattr(event, "request_id", None) == name
        if self.over:
            if mine:
                self.story.say(entry.now_ns, f"told late, changes nothing: {self._words(event)}")
            return
        if isinstance(event, Arrived):
            self.tenant_of[event.request_id] = event.tenant
        decided = self.plane.on(entry.now_ns, event)
        if decided != entry.decisions:
            raise Failure(f"at {entry.now_ns / 1e9:.6f} s a fresh plane decides otherwise than the journal says, so "
                          "nothing after it can be explained; `workbench journal replay` shows the difference")
        self.state = self.plane.desk.inside.get(name, self.state)
        if mine:
            self._event(entry)
        self._lost(entry)
        for one in entry.decisions:
            if getattr(one, "request_id", None) == name:
                self._decision(entry.now_ns, one)
            elif isinstance(one, Release) and self.place not in ("", "out"):
                self.meanwhile[self.tenant_of.get(one.request_id, "?")] += 1
        self._moved(entry.now_ns)

    def _lost(self, entry: Entry) -> None:
        """Attempts that the plane gave up without a word from their replica: it takes its node for dead."""
        cancelled = {one.attempt for one in entry.decisions if isinstance(one, Cancel)
                     and one.request_id == self.story.request_id}
        for attempt, replica in list(self.at.items()):
            if self.state is not None and attempt not in self.state.out and attempt not in cancelled:
                why = next((one.why for one in entry.decisions if isinstance(one, Stop) and one.replica == replica), "")
                told = f"attempt {attempt} at replica {replica} is given up"
                self.story.say(entry.now_ns, f"{told}: {why}" if why else told)
                del self.at[attempt]

    def _words(self, event: Event) -> str:
        return words.event(event).removeprefix(f"{one_line(self.story.request_id)} ")

    def _event(self, entry: Entry) -> None:
        event = entry.event
        if isinstance(event, Arrived):
            self._arrival(entry.now_ns, event, entry)
        elif isinstance(event, Left):
            replica = self.at.pop(event.attempt, None)
            where = "" if replica is None else f" at replica {replica}"
            self.story.say(entry.now_ns, f"attempt {event.attempt}{where} is over: {words.left(event)}")
        else:
            self.story.say(entry.now_ns, self._words(event))

    def _arrival(self, now_ns: int, event: Arrived, entry: Entry) -> None:
        desk, state = self.plane.desk, self.state
        end = next((one for one in entry.decisions if isinstance(one, Reject | Answer)
                    and one.request_id == event.request_id), None)
        most = event.max_tok or event.estimated_tok
        self.story.say(now_ns, f"arrives from {event.tenant}, asks {event.model or 'any model'} for at most {most} "
                               f"tokens after {event.prompt_tok}")
        if state is not None:
            item = state.item
            deadline = "" if item.deadline_ns is None else f", deadline in {words.seconds(item.deadline_ns - now_ns)}"
            user = f", user {item.user}" if item.user and item.user != item.tenant else ""
            self.story.say(now_ns, f"is tenant {item.tenant}{user}, tier {item.tier}, class {item.priority}{deadline}")
            if item.model != event.model:
                self.story.say(now_ns, f"models: {event.model} is answered by {item.model}")
        if isinstance(end, Reject):
            if end.reason.startswith("limit"):
                self.story.say(now_ns, f"limits: asks for {event.prompt_tok + most} tokens")
            return
        if desk.limits is not None:
            held = None if state is None else state.held
            levels = ", ".join(level.name for level in state.limits.levels) if state and state.limits else ""
            self.story.say(now_ns, f"limits: {event.prompt_tok + most} tokens reserved" + (f" at {levels}" if levels
                           else "") if held or isinstance(end, Answer) else "limits: this tenant has none")
        if desk.cache is not None and not isinstance(end, Answer):
            self.story.say(now_ns, self._cache(event, state))

    def _cache(self, event: Arrived, state: Inside | None) -> str:
        if not event.cache or state is None or state.cache is None:
            return "cache: its answer may not be kept"
        if state.leads:
            return "cache: nobody has asked this lately; it computes the answer for whoever asks the same"
        leader = next((one.item.request_id for one in self.plane.desk.inside.values()
                       if one.leads and one.cache == state.cache), "another")
        return f"cache: {leader} computes the same answer already; waits for it"

    def _decision(self, now_ns: int, one: Any) -> None:
        text = words.decision(one)
        if isinstance(one, Release):
            out = Counter(replica for state in self.plane.desk.inside.values() for replica in state.out.values())
            if self.state is not None and one.attempt in self.state.out:
                out[one.replica] -= 1
            hedged = ", ".join(map(str, self.at))
            text += f" beside attempt {hedged}: a hedge" if hedged else ""
            text += f", where {_others(out[one.replica])}; outstanding {self._fleet(out)}"
            self.at[one.attempt] = one.replica
        elif isinstance(one, Cancel):
            self.at.pop(one.attempt, None)
        if self.place in ("queued", "held") and isinstance(one, Release | Reject):
            by = ", ".join(f"{name} {n}" for name, n in self.meanwhile.most_common(6))
            text += f"; released meanwhile: {self.meanwhile.total()}" + (f" ({by})" if by else "")
        self.story.say(now_ns, text)
        if isinstance(one, Reject) and words.remedy(one):
            self.story.say(now_ns, f"remedy: {words.remedy(one)}")
        if isinstance(one, ENDS):
            self.over = True
            self.story.end = one.source if isinstance(one, Answer) else one.outcome
            self._to(now_ns, "")

    def _fleet(self, out: Counter[int]) -> str:
        """How many each replica of its pool has besides this one; how many of them are down."""
        fleet = self.plane.desk.fleet
        pool = fleet.pools[self.state.pool] if self.state is not None and self.state.pool in fleet.pools else []
        up = [i for i in pool if fleet.up[i]]
        told = ", ".join(f"{i}: {out[i]}" for i in up[:16]) + (", ..." if len(up) > 16 else "")
        return told + (f"; {len(pool) - len(up)} down" if len(up) < len(pool) else "")

    def _moved(self, now_ns: int) -> None:
        """Says where it waits from now on."""
        state = self.plane.desk.inside.get(self.story.request_id)
        if state is None or self.over or state.place == self.place:
            return
        if self.place in ("", "out", "later", "following"):
            self.meanwhile.clear()
        self._to(now_ns, state.place)
        if state.place == "queued":
            others = _others(len(self.plane.desk.lines[state.pool]) - 1)
            self.story.say(now_ns, f"waits in line {state.pool!r}, where {others}; order {self._order()}")
        elif state.place == "held":
            self.story.say(now_ns, "is next, but no replica has a place for it; nobody goes before it")
        elif state.place == "later":
            self.story.say(now_ns, "will be tried again: waits for its turn")

    def _to(self, now_ns: int, place: str) -> None:
        if self.place:
            self.story.spent_ns[self.place] = self.story.spent_ns.get(self.place, 0) + now_ns - self.since_ns
        self.place, self.since_ns = place, now_ns

    def _order(self) -> str:
        chosen = self.facts.get("scheduling", "fifo")
        return self.facts.get("custom", {}).get("scheduling") or (
            chosen if isinstance(chosen, str) else chosen.get("name", "fifo"))


def _others(n: int) -> str:
    return "nobody else is" if n == 0 else "1 other is" if n == 1 else f"{n} others are"
