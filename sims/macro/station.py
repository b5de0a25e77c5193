"""A replica on the clock that jumps: one event for all iterations until somebody can join, leave or must go.

What makes a jump exact. Every running decode gains one token an iteration, so one counter serves them all and the heap
of finishing counters says how far it goes. The time is the profile's closed form (or its many times at once). While the
requests inside could all grow to their ends within the KV cache, no block is counted; else `sims.macro.blocks` bounds
the jump, and hands an iteration in which blocks run short to the oracle's own batcher. Iterations that compute a prompt
are composed one at a time, those of one long prompt in one event: they use up the token budget, so nobody can join.
"""

from array import array
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush

from sims.clock import Clock, Turn
from sims.macro.blocks import Blocks
from sims.macro.sequence import Columns, Entry, Seq
from sims.macro.timing import Times, Timing
from sims.overheads import Overheads
from sims.record import NEVER
from sims.replica import IterationTime, Job
from sims.rules import VllmRules
from sims.station import Ended, request_of
from workbench.profile.batch import Batch
from workbench.profile.decode_run import FS_PER_NS, DecodeLine
from workbench.runlog.schema import Planned

NOT_DUE = -1
Mixed = tuple[int, int, Sequence[tuple[int, int]], int, int]  # (end_ns, duration_ns, prompt pieces, decodes, context)


class MacroStation:
    """Same contract as `sims.station.Station`, same results. `single` limits every jump to one iteration."""

    stepwise = False  # every iteration that computes a prompt is a jump of its own

    def __init__(
        self, clock: Clock, number: int, rules: VllmRules, timing: IterationTime, overheads: Overheads, record: Columns,
        ended: Ended, *, single: bool = False,
    ) -> None:
        self.clock, self.env, self.number, self.record, self.ended = clock, clock.env, number, record, ended
        self.out_ns, self.admit_ns = overheads.out_ns, overheads.admit_ns
        self._single = single
        self._take(timing)
        self.mode = "macro" if self.timing.jumps else "iteration"
        self.budget_tok, self.seats, self.block_tok = rules.max_num_batched_tokens, rules.max_num_seqs, rules.block_tok
        self.blocks = Blocks(rules, timing, self)
        self.fits_tok = rules.kv_blocks * rules.block_tok + 1  # the last token is never stored
        if rules.max_model_len_tok is not None:
            self.fits_tok = min(self.fits_tok, rules.max_model_len_tok)
        self.queue: deque[Seq] = deque()
        self.heap: list[Entry] = []
        self.filling: Seq | None = None  # the one whose prompt is half computed: always the last that was admitted
        self.counter, self.ctx_sum, self.admitted = 0, 0, 0
        self.runs, self.runs_n, self.spans = array("q"), 0, array("q")
        self.iterations = self.sequences = self.preemptions = 0
        self._busy_ns = self._start_ns = 0
        self.mixed: list[Mixed] = []  # decided
        self._base_ns, self._k, self._due_ns = 0, 0, NOT_DUE  # then k decode iterations from base_ns, until due_ns
        self._line: DecodeLine | Times = DecodeLine(0, 0)
        self._idle, self._cuttable, self._deciding = True, False, False
        self.full = False  # nobody more can be admitted before somebody leaves
        self._spread: tuple[int, int] | None = None
        self._end_alarm = clock.alarm(Turn.END, self._end, number)
        self._decision = clock.alarm(Turn.DECIDE, self._decide, number)

    def _take(self, timing: IterationTime) -> None:
        """Fresh: nothing is compiled yet."""
        self.timing = Timing(timing, single=self._single)
        self._closed_form, self._mixed_ns = self.timing.line, self.timing.mixed_ns
        self._spread_matters = self.timing.needs_spread

    def refusal(self, planned: Planned) -> str | None:
        prompt_tok, output_tok = planned.asked_prompt_tok, planned.asked_output_tok
        if prompt_tok > 0 < output_tok and prompt_tok + output_tok <= self.fits_tok:
            return None
        return self.blocks.oracle.refusal(request_of(planned))

    def submit(self, index: int) -> None:
        planned = self.record.schedule[index]
        prompt_tok, output_tok = planned.asked_prompt_tok, planned.asked_output_tok
        seq = Seq(index, prompt_tok, output_tok, -(-(prompt_tok + output_tok - 1) // self.block_tok))
        if self.blocks.exact:
            seq.job = Job(request_of(planned), prompt_tok)
        self.queue.append(seq)
        if self._cuttable:
            self._cut()
        elif self._idle and not self._deciding:
            self._deciding = True
            self._decision.set(0)

    def settle(self, stop_ns: int) -> None:
        """Commit what ended by the stop; the spans of who is still inside end there."""
        if self._due_ns != NOT_DUE:
            self.mixed = [item for item in self.mixed if item[0] <= stop_ns]
            k = 0
            if self._k and stop_ns > self._base_ns:
                done = self._base_ns + self._line.total_ns(self._k) <= stop_ns
                k = self._k if done else self._line.reach(stop_ns - self._base_ns + 1) - 1
            self._k = k
            self._commit(self._base_ns + self._line.total_ns(k) if k else 0)
        for _, _, seq in self.heap:
            if seq.first < self.runs_n:
                self.spans.extend((seq.index, seq.first, self.runs_n - 1))

    def busy_ns(self, until_ns: int) -> int:
        return self._busy_ns + (until_ns - self._start_ns if self._due_ns != NOT_DUE else 0)

    def spread(self) -> tuple[int, int]:
        """(most, least) context of a decode in the next iteration."""
        if not self.heap:
            return 0, 0
        if self._spread is None:
            bases = [entry[2].base for entry in self.heap]
            self._spread = max(bases), min(bases)
        return self._spread[0] + self.counter + 1, self._spread[1] + self.counter + 1

    def join(self, seq: Seq, end_ns: int) -> None:
        """Its prompt is computed: its first token (again, after a preemption) came with the last of `mixed`."""
        seq.left_tok -= 1
        self.decode(seq)
        seq.first = self.runs_n + len(self.mixed) - 1
        if self.record.first_ns[seq.index] == NEVER:
            self.record.first_ns[seq.index] = end_ns + self.out_ns

    def decode(self, seq: Seq) -> None:
        """From now on the counter speaks for it."""
        seq.finish, seq.base = self.counter + seq.left_tok, seq.target_tok - self.counter
        self.ctx_sum += seq.target_tok + 1
        self.admitted += 1
        heappush(self.heap, (seq.finish, self.admitted, seq))
        self._spread = None

    def started(self, seq: Seq, cached_tok: int) -> None:
        if self.record.start_ns[seq.index] == NEVER:
            self.record.start_ns[seq.index], self.record.cached_tok[seq.index] = self.env._now, cached_tok

    def _cut(self) -> None:
        """Somebody came: jump no further than the end of the iteration in progress."""
        self._cuttable = False
        now_ns, base_ns = self.env._now, self._base_ns
        k = 0 if now_ns <= base_ns and self.mixed else self._line.reach(max(1, now_ns - base_ns))
        if k < self._k:
            self._k = k
            self._due_ns = base_ns + self._line.total_ns(k) if k else base_ns
            self._end_alarm.ring_at(self._due_ns)

    def _end(self) -> None:
        now_ns = self.env._now
        if now_ns != self._due_ns:
            return  # the jump was cut after this was set
        if self._single and self._walk(now_ns):
            return
        self._due_ns, self._cuttable = NOT_DUE, False
        self._busy_ns += now_ns - self._start_ns
        self._commit(now_ns)
        heap, counter = self.heap, self.counter
        if heap and heap[0][0] <= counter:
            self.ended(self.number, self._finish())
        coming = self.env._queue
        if coming and coming[0][0] <= now_ns:
            self._deciding = True
            self._decision.set(0)
        else:
            self._decide()

    def _walk(self, now_ns: int) -> bool:
        """One decode iteration after another like it, without jumps; False where anything is to be decided."""
        line, n, coming = self._line, len(self.heap), self.env._queue
        if (
            self.mixed or not self._k or self.queue or self.filling is not None or self.blocks.exact
            or self.heap[0][0] <= self.counter + 1 or not isinstance(line, DecodeLine) or line.steps < 2
            or (coming and coming[0][0] <= now_ns)
        ):
            return False
        self._busy_ns += now_ns - self._start_ns
        if self.timing.watch is not None:
            self.timing.watch.decoded(n, self.ctx_sum, 1)
        self.runs.extend((now_ns, line.first_fs, 0, 1))
        self.runs_n += 1
        self.iterations += 1
        self.counter += 1
        self.ctx_sum += n
        self.sequences += n
        following = self._line = DecodeLine(line.first_fs + line.rise_fs, line.rise_fs, line.steps - 1)
        self._start_ns = self._base_ns = now_ns
        self._due_ns = now_ns + following.total_ns(1)
        self._end_alarm.ring_at(self._due_ns)
        return True

    def _commit(self, end_ns: int) -> None:
        """What was decided has happened."""
        runs, mixed, watch = self.runs, self.mixed, self.timing.watch
        if mixed:
            for end, duration_ns, pieces, decodes, ctx_sum in mixed:
                runs.extend((end, duration_ns * FS_PER_NS, 0, 1))
                self.sequences += decodes + len(pieces)
                if watch is not None:
                    watch.computed(pieces, decodes, ctx_sum)
            self.iterations += len(mixed)
            self.runs_n += len(mixed)
        k, line, n = self._k, self._line, len(self.heap)
        if not k:
            return
        if watch is not None:
            watch.decoded(n, self.ctx_sum, k)
        if isinstance(line, DecodeLine):
            runs.extend((end_ns, line.first_fs, line.rise_fs, k))
            self.runs_n += 1
        else:
            runs.frombytes(line.rows(self._base_ns, k))
            self.runs_n += k
        self.counter += k
        self.ctx_sum += n * k
        self.iterations += k
        self.sequences += n * k

    def _finish(self) -> list[int]:
        """Who is over leaves its place, in order of admission."""
        if self.blocks.exact:
            self.blocks.grow_decodes(0)
        heap, counter, last = self.heap, self.counter, self.runs_n - 1
        finished = []
        while heap and heap[0][0] <= counter:
            seq = heappop(heap)[2]
            self.spans.extend((seq.index, seq.first, last))
            self.ctx_sum -= seq.base + counter + 1
            self.blocks.release(seq)
            finished.append(seq.index)
        self._spread = None
        return finished

    def _decide(self) -> None:
        """Compose the next iterations, as far as nothing that may still come can change them."""
        self._deciding = self._idle = False
        self._start_ns = now_ns = self.env._now
        self.mixed, self._k = [], 0
        heap, exact, end_ns = self.heap, self.blocks.exact, now_ns
        self.full = False
        if self.queue:
            self.blocks.prepare()
            exact = self.blocks.exact
        if exact or self.queue or self.filling is not None:
            end_ns = self._mix(now_ns)
        n = len(heap)
        if self.mixed and (
            self.stepwise or not n or heap[0][0] <= self.counter or (self.filling is not None and n < self.budget_tok)
            or (self.queue and not self.full)
        ):
            self._wake(end_ns)
            return
        if not n:
            self._idle = True
            return
        k = heap[0][0] - self.counter
        if exact:
            k = min(k, (not self.mixed) + self.blocks.spare_iterations(n))
            if not k:
                self._wake(end_ns)
                return
        most, least = self.spread() if self._spread_matters else (0, 0)
        line: DecodeLine | Times | None = None
        if self._closed_form is not None:
            line = self._closed_form(n, self.ctx_sum, most, least)
        if line is None:
            line = self.timing.run(n, self.ctx_sum, most, least, k)
        if k > line.steps:
            k = line.steps
        self._line, self._k, self._base_ns = line, 1 if self._single else k, end_ns
        self._cuttable = not self.full and self.filling is None and n < self.seats
        self._wake(end_ns + line.total_ns(self._k))

    def _wake(self, due_ns: int) -> None:
        if not self._k:
            self._base_ns = due_ns
        self._due_ns = due_ns
        self._end_alarm.ring_at(due_ns)

    def _mix(self, now_ns: int) -> int:
        """Iterations that compute prompts. The first may admit; the next ones only where no budget is left to anyone.
        Returns when the last of them ends."""
        heap, blocks, exact = self.heap, self.blocks, self.blocks.exact
        end_ns = now_ns
        while True:
            n, first = len(heap), end_ns == now_ns
            budget = self.budget_tok - n
            filling = self.filling
            if not first and (self.stepwise or filling is None
                              or not 0 < budget <= filling.target_tok - filling.kv_tok):
                return end_ns
            if exact and not blocks.grow_decodes(1):
                return blocks.single(now_ns) if first else end_ns
            pieces: list[tuple[int, int]] = []
            done: list[Seq] = []
            begun = 0
            if filling is not None and budget > 0:
                new = min(budget, filling.target_tok - filling.kv_tok)
                if exact and not blocks.grow(filling, new):
                    return blocks.single(now_ns) if first else end_ns
                pieces.append((new, filling.kv_tok))
                budget -= new
                self._computed(filling, new, done)
            if first and self.queue:
                begun = self._admit(budget, n, pieces, done)
            if not pieces:
                return end_ns
            most, least = self.spread() if self._spread_matters else (0, 0)
            if self._mixed_ns is not None:
                duration_ns = self._mixed_ns(pieces, n, self.ctx_sum, most, least)
            else:
                duration_ns = self.timing.iteration_ns(Batch(tuple(pieces), n, self.ctx_sum, most, least))
            duration_ns += self.admit_ns * begun
            if duration_ns < 1:
                raise ValueError(f"the profile says {duration_ns} ns for {pieces}: an iteration takes at least 1 ns")
            end_ns += duration_ns
            self.mixed.append((end_ns, duration_ns, pieces, n, self.ctx_sum))
            self.counter += 1
            self.ctx_sum += n
            for seq in done:
                self.join(seq, end_ns)
            if heap and heap[0][0] <= self.counter:
                return end_ns

    def _admit(self, budget: int, n: int, pieces: list[tuple[int, int]], done: list[Seq]) -> int:
        """The queue in order, while seats, budget and blocks last."""
        queue, blocks, exact = self.queue, self.blocks, self.blocks.exact
        seats = self.seats - n - len(pieces) - (self.filling is not None and not pieces)
        begun = 0
        while queue and budget and seats > 0:
            seq = queue[0]
            if exact:
                new = blocks.admit(seq, budget)
                if not new:
                    self.full = True
                    return begun
            else:
                new = min(budget, seq.target_tok)
                blocks.most += seq.most_blocks
                self.started(seq, 0)
            queue.popleft()
            pieces.append((new, seq.kv_tok))
            self._computed(seq, new, done)
            budget -= new
            seats -= 1
            begun += 1
        self.full = seats <= 0
        return begun

    def _computed(self, seq: Seq, new: int, done: list[Seq]) -> None:
        seq.kv_tok += new
        if seq.kv_tok >= seq.target_tok:
            done.append(seq)
            self.filling = None
        else:
            self.filling = seq
