"""The macro-step replica under the control plane: told of nothing but first and last tokens, and equal to the oracle.

Every iteration that computes a prompt is a jump of its own, so that first tokens and who leaves come at the end of one;
decodes jump as far as nobody leaves. Whoever is cancelled leaves when the jump was cut to the iteration in progress.
"""

from collections.abc import Callable, Sequence
from heapq import heapify

import numpy as np

from sims.clock import Clock, Turn
from sims.macro.blocks import Blocks
from sims.macro.sequence import Seq
from sims.macro.station import NOT_DUE, MacroStation
from sims.overheads import Overheads
from sims.plane.attempts import Attempts
from sims.plane.station import FIRST, LAST, PPM, Out, Seen
from sims.plane.tokens import ended_by
from sims.record import NEVER
from sims.replica import IterationTime
from sims.rules import VllmRules
from workbench.control.plane.events import Report


class JumpingStation(MacroStation):
    """Same contract as `PlaneStation`, same results."""

    stepwise = True

    def __init__(self, clock: Clock, number: int, rules: VllmRules, timing: IterationTime, overheads: Overheads,
                 attempts: Attempts, seen: Seen, *, single: bool = False) -> None:
        super().__init__(clock, number, rules, timing, overheads, attempts, _nobody, single=single)
        self._make, self._seen, self.attempts = (rules, timing), seen, attempts
        self.up, self.slow_x = True, 1.0  # always: fleet.maker takes the oracle where a replica grows slow
        self.held: list[Callable[[], None]] | None = None
        self._inside: dict[int, Seq] = {}  # in order of submission
        self._joined: list[tuple[int, int]] = []  # whose prompt is computed at the end of the jump; FIRST if new

    def submit(self, place: int) -> str | None:  # type: ignore[override]
        reason = self.refusal(self.attempts.schedule[place])
        if reason is None:
            super().submit(place)
            self._inside[place] = self.queue[-1]
        return reason

    def cancel(self, place: int) -> None:
        seq = self._inside.pop(place, None)
        if seq is None:
            return
        if self._due_ns != NOT_DUE:
            self._hold()
        if self.blocks.exact:
            self.blocks.grow_decodes(0)
            self._let_go()
        if seq.first >= 0:
            self.heap = [entry for entry in self.heap if entry[2] is not seq]
            heapify(self.heap)
            self.ctx_sum -= seq.base + self.counter + 1
            self._close(seq)
            self._spread = None
            self.blocks.release(seq)
        elif seq is self.filling:
            self.filling = None
            self.blocks.release(seq)
        else:
            self.queue.remove(seq)

    def fail(self) -> list[int]:
        lost = list(self._inside)
        if self._due_ns != NOT_DUE:
            now_ns = self.env._now
            if self._k:
                self._part(self._line.reach(now_ns - self._base_ns + 1) - 1 if now_ns >= self._base_ns else 0)
            self._busy_ns += now_ns - self._start_ns
        for _, _, seq in self.heap:
            self._close(seq)
        rules, timing = self._make
        self._take(timing)
        self.blocks = Blocks(rules, timing, self)
        self.queue.clear()
        self.heap, self.filling, self.mixed, self._joined, self._inside = [], None, [], [], {}
        self.counter = self.ctx_sum = self._k = 0
        self._due_ns, self._idle, self._cuttable, self._spread, self.up = NOT_DUE, True, False, None, False
        return lost

    def given(self, places: Sequence[int], before_ns: int) -> list[int]:
        runs = np.frombuffer(self.runs.tobytes(), dtype=np.int64).reshape(-1, 4)
        spans = np.frombuffer(self.spans.tobytes(), dtype=np.int64).reshape(-1, 3)
        spans, found = spans[np.isin(spans[:, 0], np.asarray(places, dtype=np.int64))], dict.fromkeys(places, 0)
        for place, first, last in spans.tolist():
            found[place] += ended_by(runs[first: last + 1].tolist(), before_ns - self.out_ns)
        return [found[place] for place in places]

    def report(self) -> Report:
        counter, now_ns = self.counter, self.env._now
        if self._k:  # decodes that nobody has told of; at the very end of one nothing is in progress
            done = self._line.reach(now_ns - self._base_ns + 1) - 1 if now_ns > self._base_ns else 0
            begun = done + (self._base_ns + self._line.total_ns(done) < now_ns or now_ns == self._base_ns)
            counter += min(begun, self._k)
        over = self._due_ns != NOT_DUE and bool(self.heap) and self.heap[0][0] <= counter
        running = len(self.heap) + (self.filling is not None)
        if over:
            running -= sum(entry[0] <= counter for entry in self.heap)
        used = self._used(counter, over=over)
        ppm = used * PPM // self.blocks.rules.kv_blocks
        return Report(self.number, now_ns, len(self.queue), running, ppm)

    def join(self, seq: Seq, end_ns: int) -> None:
        self._joined.append((seq.index, FIRST if self.attempts.first_ns[seq.index] == NEVER else 0))
        super().join(seq, end_ns)

    def _used(self, counter: int, *, over: bool) -> int:
        """Blocks that somebody holds, the iteration in progress included; who has its last token there holds none."""
        block_tok, blocks, heap = self.block_tok, self.blocks, self.heap
        if not blocks.exact:
            tok = [seq.base + counter for finish, _, seq in heap if not over or finish > counter]
            if self.filling is not None:
                tok.append(self.filling.kv_tok)
            return sum(-(-one // block_tok) for one in tok)
        if over:
            blocks.grow_decodes(counter - self.counter)
            self._let_go(counter)
        kv = blocks.batcher.kv
        short = sum(max(0, -(-(seq.base + counter) // block_tok) - seq.job.blocks)
                    for _, _, seq in heap if seq.job is not None)
        return kv.capacity - kv.free + short

    def _let_go(self, counter: int | None = None) -> None:
        """The engine gives up the blocks of who has its last token when that iteration begins."""
        if self._due_ns == NOT_DUE:
            return
        at = self.counter if counter is None else counter
        for _, _, seq in sorted(entry for entry in self.heap if entry[0] <= at):
            if seq.job is not None:
                self.blocks.batcher.kv.release(seq.job)
                seq.job = None

    def _hold(self) -> None:
        """Only the iteration in progress is still to end: as if it had been decided alone."""
        if not self._k:
            return
        now_ns = self.env._now
        line = self._line
        done = line.reach(now_ns - self._base_ns) - 1 if now_ns > self._base_ns else 0
        total_ns = line.total_ns(done)
        end_ns, n = self._base_ns + line.total_ns(done + 1), len(self.heap)
        self._part(done)
        self.mixed = [(end_ns, end_ns - self._base_ns - total_ns, (), n, self.ctx_sum)]
        self.counter += 1
        self.ctx_sum += n
        self._cuttable, self._base_ns = False, end_ns
        if end_ns != self._due_ns:
            self._due_ns = end_ns
            self._end_alarm.ring_at(end_ns)

    def _part(self, done: int) -> None:
        """So many decode iterations of the jump have happened; the rest is forgotten."""
        self._k, end_ns = min(done, self._k), self._base_ns + self._line.total_ns(min(done, self._k))
        self._commit(end_ns)
        self._k = 0

    def _close(self, seq: Seq) -> None:
        """It gets no more tokens."""
        if 0 <= seq.first < self.runs_n:
            self.spans.extend((seq.index, seq.first, self.runs_n - 1))

    def _end(self) -> None:
        now_ns = self.env._now
        if now_ns != self._due_ns:
            return  # the jump was cut after this was set
        self._due_ns, self._cuttable = NOT_DUE, False
        self._busy_ns += now_ns - self._start_ns
        self._commit(now_ns)
        self._k, self.mixed = 0, []
        heap = self.heap
        if self._joined or (heap and heap[0][0] <= self.counter):
            out = self._leave()
            self._deciding = True  # whatever is submitted by what follows belongs to the same decision
            if not out:
                pass
            elif self.out_ns:
                self.clock.at(now_ns + self.out_ns, Turn.END, lambda: self._seen(self, out), self.number)
            else:
                self._seen(self, out)
        coming = self.env._queue
        if coming and coming[0][0] <= now_ns:
            self._deciding = True
            self._decision.set(0)
        else:
            self._decide()

    def _leave(self) -> Out:
        """Who has its first token or its last, in the engine's order: decodes as they were admitted, then prompts."""
        joined, inside = dict(self._joined), self._inside
        self._joined = []
        done = self._finish() if self.heap and self.heap[0][0] <= self.counter else []
        out = [(place, LAST) for place in done if place not in joined]
        over = set(done)
        for place, bits in joined.items():
            if place in inside:
                bits |= LAST if place in over else 0
                if bits:
                    out.append((place, bits))
        for place in done:
            del inside[place]
        return out


def _nobody(_: int, __: object) -> None:
    """The cluster's ear; here `seen` is told instead."""
