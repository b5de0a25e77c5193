"""What a client saw of one request, in the terms that the simulator's rules need."""

from dataclasses import dataclass

from workbench.runlog.schema import Row

FOREVER_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Observed:
    """A request of known work. `tokens` has (when it left the engine, whether that was seen) for each token."""

    request_id: str
    prompt_tok: int
    output_tok: int
    cached_tok: int
    arrived_ns: int  # at the engine
    tokens: tuple[tuple[int, bool], ...]

    @property
    def exact(self) -> bool:
        """Whether its chunks account for every token."""
        return any(seen for _, seen in self.tokens)


def observe(row: Row, in_ns: int, out_ns: int) -> Observed | None:
    """None where the work is not known: it did not end well, or its lengths or times are missing."""
    if row.outcome != "ok" or row.sent_ns is None or not row.prompt_tok or not row.output_tok or not row.chunk_ns:
        return None
    times = _times(row.chunk_ns, row.chunk_tok, row.output_tok)
    tokens = tuple((at_ns - out_ns, seen) for at_ns, seen in times)
    cached_tok = min(row.cached_tok or 0, row.prompt_tok - 1)  # the last prompt token is always computed
    return Observed(row.request_id, row.prompt_tok, row.output_tok, cached_tok, row.sent_ns + in_ns, tokens)


def cloud(row: Row) -> tuple[int, int]:
    """When a row of unknown work may have been in the engine."""
    return row.sent_ns or 0, FOREVER_NS if row.end_ns is None else row.end_ns


def _times(
    chunk_ns: tuple[int, ...], chunk_tok: tuple[int, ...] | None, output_tok: int
) -> list[tuple[int, bool]]:
    """A chunk shows when its last token came, not its earlier ones. Where the chunks do not add up to the
    output, no token can be told from another: times are then spread evenly and count as not seen."""
    sizes = chunk_tok or (1,) * len(chunk_ns)
    if sum(sizes) == output_tok and len(sizes) == len(chunk_ns):
        return [(at_ns, i == size - 1) for at_ns, size in zip(chunk_ns, sizes, strict=True) for i in range(size)]
    first, span = chunk_ns[0], chunk_ns[-1] - chunk_ns[0]
    return [(first + span * i // max(1, output_tok - 1), False) for i in range(output_tok)]
