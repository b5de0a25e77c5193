"""What the control plane knows of a request that waits: never its true output length."""

from typing import NamedTuple


class Waiting(NamedTuple):
    """Seen by queue, scheduler, allocator and router. `sequence` is the order of arrival and breaks every tie."""

    request_id: str
    tenant: str = "default"
    tier: str = "standard"
    user: str = ""
    model: str = ""
    prompt_tok: int = 1
    estimated_tok: int = 1  # a guess of the output
    arrived_ns: int = 0
    deadline_ns: int | None = None  # when the answer is worth nothing any more
    priority: int = 0  # lower is served first
    sequence: int = 0
    prefix_ids: tuple[int, ...] = ()  # one for each full block of the prompt; equal ids: equal tokens up to there
    session: str = ""  # a conversation
