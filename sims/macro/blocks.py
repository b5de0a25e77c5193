"""KV blocks under a macro-step: not counted while they cannot run short, else exactly, else by the oracle itself."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sims.macro.sequence import Seq
from sims.replica import IterationTime, Job, Replica
from sims.replica.kv import CountedBlocks
from sims.replica.vllm import VllmBatcher
from sims.rules import VllmRules
from sims.station import request_of

if TYPE_CHECKING:
    from sims.macro.station import MacroStation


class Blocks:
    """`most` is what all requests inside would hold at their ends: while it fits, nobody can ever be short. Beyond
    that, and always with prefix caching, `exact` is true: the oracle's KV cache keeps every block, decodes are brought
    up to date when somebody joins or leaves."""

    def __init__(self, rules: VllmRules, timing: IterationTime, station: MacroStation) -> None:
        self.rules, self.station = rules, station
        self.oracle = Replica(rules, timing)
        batcher = self.oracle.batcher
        assert isinstance(batcher, VllmBatcher)
        self.batcher = batcher
        self.exact = rules.prefix_caching
        self.most = 0

    def prepare(self) -> None:
        """Before an admission: whether those who may be admitted now could always grow."""
        if self.rules.prefix_caching:
            return
        station = self.station
        room, budget = self.rules.kv_blocks - self.most, station.budget_tok
        if not self.exact and len(station.queue) == 1 and station.queue[0].most_blocks <= room:
            return
        for seq in station.queue:
            room -= seq.most_blocks
            budget -= seq.target_tok
            if budget <= 0 or room < 0:
                break
        if self.exact:
            self.exact = room < 0
        elif room < 0:
            self._count()

    def release(self, seq: Seq) -> None:
        self.most -= seq.most_blocks
        if self.exact and seq.job is not None:
            self.batcher.kv.release(seq.job)

    def grow_decodes(self, more_tok: int) -> bool:
        """Give every decode the blocks for its tokens so far and `more_tok`; False, and nothing taken, when short."""
        kv, block_tok, tok = self.batcher.kv, self.rules.block_tok, self.station.counter + more_tok
        wanted = []
        short = 0
        for _, _, seq in self.station.heap:
            if seq.job is not None:
                more = -(-(seq.base + tok) // block_tok) - seq.job.blocks
                if more > 0:
                    short += more
                    wanted.append((seq.job, more))
        if short > kv.free:
            return False
        if short:
            kv.take(short)
            for job, more in wanted:
                job.blocks += more
        return True

    def spare_iterations(self, n: int) -> int:
        """How many more iterations of n decodes certainly find blocks."""
        return self.batcher.kv.free // n * self.rules.block_tok

    def grow(self, seq: Seq, new_tok: int) -> bool:
        assert seq.job is not None
        return self.batcher.kv.grow(seq.job, seq.kv_tok + new_tok)

    def admit(self, seq: Seq, budget: int) -> int:
        """Tokens of it to compute now; 0 where it does not fit. Sets `kv_tok` to what the cache has of it."""
        job, kv = seq.job, self.batcher.kv
        assert job is not None
        hit = kv.look(job)
        new = min(budget, seq.target_tok - hit.tok)
        if not kv.admit(job, hit, hit.tok + new, seq.target_tok if self.rules.reserve_full_prompt else 0):
            return 0
        seq.kv_tok = hit.tok
        self._begun(seq, job, min(hit.tok, job.request.prompt_tok))
        return new

    def single(self, now_ns: int) -> int:
        """Blocks are short: the oracle's batcher composes this one iteration. Returns its end."""
        self.grow_decodes(0)  # what they have already computed: it was seen to fit when the jump began
        station, batcher = self.station, self.batcher
        running = [entry[2] for entry in sorted(station.heap, key=lambda entry: entry[1])]
        if station.filling is not None:
            running.append(station.filling)
        batcher._running = [self._synchronised(seq) for seq in running]
        batcher._queue = deque([self._synchronised(seq) for seq in station.queue])
        seqs = {seq.job: seq for seq in (*running, *station.queue)}
        plan = batcher.compose()
        assert plan is not None
        station.heap.clear()
        station.ctx_sum, stuck, station.filling = 0, station.filling, None
        for job in plan.preempted:
            self._preempted(seqs[job], job)
        for piece in plan.pieces:
            if piece.first:
                self._begun(seqs[piece.job], piece.job, piece.job.cached_tok or 0)
        begun = sum(piece.first for piece in plan.pieces)
        duration_ns = station.timing.iteration_ns(plan.batch) + station.admit_ns * begun
        end_ns = now_ns + duration_ns
        batch = plan.batch
        station.mixed.append((end_ns, duration_ns, batch.prefills, batch.decode_n, batch.decode_ctx_sum_tok))
        finished = set(batcher.complete(plan))
        station.counter += 1
        for job in plan.decodes:
            seq = seqs[job]
            seq.target_tok, seq.left_tok = job.kv_tok, job.request.output_tok - job.out_tok
            station.decode(seq)
        for piece in plan.pieces:
            seq = seqs[piece.job]
            seq.kv_tok = piece.job.kv_tok
            if piece.last:
                station.join(seq, end_ns)
            else:
                station.filling = seq
        if stuck is not None and not (stuck.job in plan.preempted or any(p.job is stuck.job for p in plan.pieces)):
            station.filling = stuck
        for job in finished:
            seqs[job].job = None  # its blocks are given back already
        station.queue = deque([seqs[job] for job in batcher.waiting])
        station.full = False
        return end_ns

    def _count(self) -> None:
        """From now on every block counts."""
        station, block_tok = self.station, self.rules.block_tok
        kv = self.batcher.kv = CountedBlocks(self.rules.kv_blocks, block_tok)
        inside = [(seq, seq.base + station.counter) for _, _, seq in station.heap]
        if station.filling is not None:
            inside.append((station.filling, station.filling.kv_tok))
        for seq, tok in (*inside, *[(seq, 0) for seq in station.queue]):
            if seq.job is None:
                planned = station.record.schedule[seq.index]
                seq.job = Job(request_of(planned), seq.target_tok)
            seq.job.blocks = -(-tok // block_tok)
            kv.free -= seq.job.blocks
        self.exact = True

    def _begun(self, seq: Seq, job: Job, cached_tok: int) -> None:
        if job.cached_tok is None:
            job.cached_tok = cached_tok
        self.most += seq.most_blocks
        self.station.started(seq, job.cached_tok)

    def _preempted(self, seq: Seq, job: Job) -> None:
        station = self.station
        station.preemptions += 1
        station.record.preemptions[seq.index] += 1
        if seq.first >= 0:
            station.spans.extend((seq.index, seq.first, station.runs_n - 1))
        seq.first, seq.kv_tok, seq.target_tok = -1, 0, job.target_tok
        seq.left_tok = job.request.output_tok - job.out_tok
        self.most -= seq.most_blocks

    def _synchronised(self, seq: Seq) -> Job:
        """The oracle's object, as far as the sequence is."""
        job, counter = seq.job, self.station.counter
        assert job is not None
        decoding = seq.first >= 0
        job.kv_tok = seq.base + counter if decoding else seq.kv_tok
        job.out_tok = job.request.output_tok - (seq.finish - counter if decoding else seq.left_tok)
        return job
