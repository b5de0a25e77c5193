"""What the parent tells the worker, over a pipe: one line of JSON, then one request body a line."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import IO, Any

import orjson

from workbench.bench.judge import Limits
from workbench.bench.request import Prompt, body, with_head
from workbench.bench.target import Target
from workbench.runlog.provenance import Provenance
from workbench.runlog.schema import Planned, chains


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole run, ready to be sent. `concurrency` None is the open loop."""

    target: Target
    schedule: tuple[Planned, ...]
    contents: tuple[bytes, ...] = field(repr=False)  # the JSON bodies, in the schedule's order
    part: Path
    provenance: Provenance
    concurrency: int | None = None
    stagger_s: float = 0.2
    limits: Limits = field(default_factory=Limits)
    loop: str = "uvloop"  # or "asyncio"

    @staticmethod
    def of(target: Target, schedule: Sequence[Planned], prompts: Sequence[Prompt], **rest: Any) -> "Plan":
        pairs = zip(schedule, prompts, strict=True)
        return Plan(target, tuple(schedule), tuple(body(target, planned, prompt) for planned, prompt in pairs), **rest)

    def shared(self, workers: int) -> "list[Plan]":
        """One plan a worker: every so-manieth request (or session, whole), and a part of the concurrency."""
        if workers == 1:
            return [self]
        talks = chains(self.schedule)
        places = [sorted(place for talk in talks[i::workers] for place in talk) for i in range(workers)]
        return [replace(
            self, schedule=tuple(self.schedule[place] for place in places[i]),
            contents=tuple(self.contents[place] for place in places[i]),
            concurrency=None if self.concurrency is None else (self.concurrency + workers - 1 - i) // workers,
        ) for i in range(workers)]

    def requests(self) -> list[tuple[Planned, bytes]]:
        """Each planned request with the bytes to send."""
        whole = (with_head(self.target, content) for content in self.contents)
        return list(zip(self.schedule, whole, strict=True))

    def send(self, pipe: IO[bytes]) -> None:
        head = {
            "target": {item.name: getattr(self.target, item.name) for item in fields(self.target)},
            "schedule": [planned.as_list() for planned in self.schedule], "part": str(self.part),
            "provenance": self.provenance.as_dict(), "concurrency": self.concurrency, "stagger_s": self.stagger_s,
            "limits": asdict(self.limits), "loop": self.loop,
        }
        pipe.write(orjson.dumps(head) + b"\n")
        for content in self.contents:  # JSON holds no raw newline
            pipe.write(content + b"\n")
        pipe.flush()

    @staticmethod
    def receive(pipe: IO[bytes]) -> "Plan":
        """Raises ValueError when the parent died before it had said everything."""
        head = orjson.loads(pipe.readline())
        schedule = tuple(Planned.from_list(item) for item in head["schedule"])
        lines = [pipe.readline() for _ in schedule]
        if not all(line.endswith(b"\n") for line in lines):
            raise ValueError("the plan was cut off")
        return Plan(
            Target(**head["target"]), schedule, tuple(line[:-1] for line in lines), Path(head["part"]),
            Provenance.from_dict(head["provenance"]), head["concurrency"], head["stagger_s"],
            Limits(**head["limits"]), head["loop"],
        )
