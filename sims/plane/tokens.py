"""When the clients of a run under the control plane had their tokens: out of the replicas' segments or lists.

A client sees one attempt's tokens. Of one that was broken off it sees what came before that moment, and its first token
if it was told of it. What was said while a network was cut arrives at once, as one chunk, when it heals.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sims.plane.attempts import OPEN, Attempts
from sims.record import LISTS_UP_TO, NEVER, Ints
from workbench.profile.decode_run import FS_PER_NS, DecodeLine
from workbench.runlog.segments import COUNT, END, Segments
from workbench.runlog.table import RunLog

Row4 = tuple[int, int, int, int]  # of a segment table
Piece = tuple[list[Row4], int]  # segments in a row, and how many tokens each of their iterations is


class Shown(NamedTuple):
    """What a client saw besides an attempt's tokens: so many at `at_ns`, and each further one `each_ns` later (0: all
    of them at once)."""

    row: int
    at_ns: int
    tok: int
    each_ns: int = 0


class Window(NamedTuple):
    """What this replica's attempts were given in `from_ns` <= t < `until_ns` was seen at its end."""

    attempts: frozenset[int]
    from_ns: int
    until_ns: int


class Tokens(Protocol):
    def seen(self) -> tuple[list[int], list[int], list[int]]:
        """By row: tokens, when the first, when the last."""
        ...

    def into(self, log: RunLog) -> RunLog:
        """With its chunk times."""
        ...


class Lists:
    """Of replicas that keep a list of tokens each."""

    def __init__(self, rows: int, token_ns: dict[int, list[int]], attempts: Attempts, shown: Sequence[int],
                 others: Sequence[Shown], windows: Sequence[Window]) -> None:
        self.chunks: list[list[tuple[int, int]]] = [[] for _ in range(rows)]
        for row, place in enumerate(shown):
            if place != NEVER:
                self.chunks[row] = _broken(_held(token_ns[place], place, windows), attempts.broken_ns[place])
        for row, at_ns, tok, each_ns in others:
            self.chunks[row] = [(at_ns + i * each_ns, 1) for i in range(tok)] if each_ns else [(at_ns, tok)]

    def seen(self) -> tuple[list[int], list[int], list[int]]:
        return ([sum(tok for _, tok in one) for one in self.chunks], [one[0][0] if one else 0 for one in self.chunks],
                [one[-1][0] if one else 0 for one in self.chunks])

    def into(self, log: RunLog) -> RunLog:
        row = np.repeat(np.arange(len(self.chunks), dtype=np.int64), [len(one) for one in self.chunks])
        flat = np.array([item for one in self.chunks for item in one], dtype=np.int64).reshape(-1, 2)
        return log.with_chunks(row, np.ascontiguousarray(flat[:, 0]), np.ascontiguousarray(flat[:, 1]))


def _held(times: list[int], place: int, windows: Sequence[Window]) -> list[tuple[int, int]]:
    found = [(at_ns, 1) for at_ns in times]
    for window in windows:
        if place in window.attempts:
            late = [tok for at_ns, tok in found if window.from_ns <= at_ns < window.until_ns]
            if late:
                found = [*[one for one in found if one[0] < window.from_ns], (window.until_ns, sum(late)),
                         *[one for one in found if one[0] >= window.until_ns]]
    return found


def _broken(found: list[tuple[int, int]], broken_ns: int) -> list[tuple[int, int]]:
    if broken_ns == OPEN:
        return found
    return [one for i, one in enumerate(found) if i == 0 or one[0] < broken_ns]


class Spans:
    """Of replicas that keep segments (`workbench.runlog.segments`); `runs` and `spans` are theirs, by attempt."""

    def __init__(self, rows: int, runs: Ints, spans: Ints, attempts: Attempts, shown: Sequence[int],
                 others: Sequence[Shown], windows: Sequence[Window], out_ns: int) -> None:
        self.rows, self.out_ns, self._runs, self._more = rows, out_ns, runs, list[Row4]()
        self._new: list[tuple[int, int, int]] = []
        self.extra = np.zeros(rows, dtype=np.int64)  # tokens of a chunk beyond its first
        self._tok: dict[int, int] = {}  # segments that are one chunk of several tokens
        row_of = np.frombuffer(attempts.row, dtype=np.int64)[spans[:, 0]]
        spans = spans[np.asarray(shown, dtype=np.int64)[row_of] == spans[:, 0]]
        spans = spans[np.lexsort((spans[:, 1], spans[:, 0]))]
        changed = self._changed(spans, attempts, windows)
        for place in np.unique(spans[changed, 0]).tolist():
            self._redo(place, spans[spans[:, 0] == place], attempts, windows)
        kept = spans[~changed]
        kept[:, 0] = np.frombuffer(attempts.row, dtype=np.int64)[kept[:, 0]]
        for row, at_ns, tok, each_ns in others:
            self._add(row, [(at_ns - out_ns, FS_PER_NS, 0, 1)], 1 if each_ns else tok)
            if each_ns and tok > 1:
                _, begun, last = self._new.pop()
                self._more.append((at_ns - out_ns + each_ns * (tok - 1), each_ns * FS_PER_NS, 0, tok - 1))
                self._new.append((row, begun, last + 1))
        runs = np.concatenate([runs, np.array(self._more, dtype=np.int64).reshape(-1, 4)])
        table = np.concatenate([kept, np.array(self._new, dtype=np.int64).reshape(-1, 3)])
        table = table[np.lexsort((runs[table[:, 1], END], table[:, 0]))]
        self.segments = Segments(runs, table, rows, out_ns)

    def seen(self) -> tuple[list[int], list[int], list[int]]:
        found, runs = self.segments, self.segments.runs
        row, first, last = found.spans.T
        first_ns, last_ns = np.zeros(self.rows, dtype=np.int64), np.zeros(self.rows, dtype=np.int64)
        first_ns[row[::-1]] = runs[first[::-1], END] + self.out_ns  # by time: the first one stays
        last_ns[row] = runs[last, END] + self.out_ns
        return (found.tokens + self.extra).tolist(), first_ns.tolist(), last_ns.tolist()

    def into(self, log: RunLog) -> RunLog:
        if self.rows > LISTS_UP_TO:
            return RunLog(log.provenance, log.table, segments=self.segments)
        row, at_ns = self.segments.expand()
        offset = np.r_[0, np.cumsum(self.segments.runs[:, COUNT])]
        _, first, last = self.segments.spans.T
        tok = np.array([self._tok.get(one, 1) for one in first.tolist()], dtype=np.int64)
        return log.with_chunks(row, at_ns, np.repeat(tok, offset[last + 1] - offset[first]))

    def _changed(self, spans: Ints, attempts: Attempts, windows: Sequence[Window]) -> NDArray[np.bool_]:
        """Of which attempts not all tokens were seen, or not when they came."""
        broken_ns = np.frombuffer(attempts.broken_ns, dtype=np.int64)[spans[:, 0]]
        found = self._runs[spans[:, 2], END] + self.out_ns >= broken_ns
        for window in windows:
            late = (self._runs[spans[:, 1], END] + self.out_ns < window.until_ns) & (
                self._runs[spans[:, 2], END] + self.out_ns >= window.from_ns)
            found |= late & np.isin(spans[:, 0], np.fromiter(window.attempts, dtype=np.int64))
        return np.asarray(np.isin(spans[:, 0], spans[found, 0]))

    def _redo(self, place: int, spans: Ints, attempts: Attempts, windows: Sequence[Window]) -> None:
        row, broken_ns = attempts.row[place], attempts.broken_ns[place] - self.out_ns
        pieces: list[Piece] = [([(end, fs, rise, n) for end, fs, rise, n in self._runs[first: last + 1].tolist()], 1)
                               for _, first, last in spans.tolist()]
        for window in windows:
            if place in window.attempts:
                pieces = _late(pieces, window.from_ns - self.out_ns, window.until_ns - self.out_ns)
        for i, (segments, tok) in enumerate(pieces):
            seen = _between(segments, NEVER - self.out_ns, broken_ns)
            if not seen and not i:
                seen = _between(segments, NEVER - self.out_ns, segments[0][END] + 1)[:1]
            if seen:
                self._add(row, seen, tok)

    def _add(self, row: int, segments: Sequence[Row4], tok: int) -> None:
        first = len(self._runs) + len(self._more)
        self._more.extend(segments)
        self._new.append((row, first, first + len(segments) - 1))
        if tok > 1:
            self.extra[row] += tok - 1
            self._tok[first] = tok


def _late(pieces: list[Piece], from_ns: int, until_ns: int) -> list[Piece]:
    """What came in between is one chunk at the end of it."""
    before, held, after = list[Piece](), 0, list[Piece]()
    for segments, tok in pieces:
        for kept, low, high in ((before, -OPEN, from_ns), (after, until_ns, OPEN)):
            part = _between(segments, low, high)
            if part:
                kept.append((part, tok))
        held += tok * sum(one[COUNT] for one in _between(segments, from_ns, until_ns))
    return [*before, *([([(until_ns, FS_PER_NS, 0, 1)], held)] if held else []), *after]


def ended_by(segments: Sequence[Row4], before_ns: int) -> int:
    """How many of their iterations end before that."""
    return sum(one[COUNT] for one in _between(segments, NEVER, before_ns))


def _between(segments: Sequence[Row4], low_ns: int, high_ns: int) -> list[Row4]:
    """The iterations that end in low <= t < high; the first one stands alone."""
    found: list[Row4] = []
    for end_ns, first_fs, rise_fs, count in segments:
        line = DecodeLine(first_fs, rise_fs, count)
        begun_ns = end_ns - line.total_ns(count)

        def ended(by_ns: int, line: DecodeLine = line, begun_ns: int = begun_ns, end_ns: int = end_ns) -> int:
            """How many end before that."""
            if by_ns > end_ns:
                return line.steps
            return line.reach(by_ns - begun_ns) - 1 if by_ns > begun_ns else 0
        low, high = ended(low_ns), ended(high_ns)
        if low < high and not found:
            found.append((begun_ns + line.total_ns(low + 1), first_fs + low * rise_fs, 0, 1))
            low += 1
        if low < high:
            found.append((begun_ns + line.total_ns(high), first_fs + low * rise_fs, rise_fs, high - low))
    return found
