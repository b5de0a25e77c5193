"""The KV cache as vLLM describes it, with a numbered block for everything and whole contents for hashes."""

from sims.replica.job import Hit, Job, Request


def contents(request: Request) -> list[object]:
    """Tokens of the prompt and whatever may be generated: an id stands for `prefix_tok` tokens."""
    shared: list[object] = [(number, k) for number in request.prefix_ids for k in range(request.prefix_tok)]
    most = request.prompt_tok + request.output_tok
    return shared[:request.prompt_tok] + [(request.request_id, k) for k in range(most - len(shared))]


class NaiveBlocks:
    """`KvCache`, plain and slow."""

    def __init__(self, capacity: int, block_tok: int) -> None:
        self.capacity, self.block_tok = capacity, block_tok
        self.queue = list(range(capacity))
        self.refs = [0] * capacity
        self.holds: list[object] = [None] * capacity  # everything up to the block's end, once it is full
        self.held: dict[Job, list[int]] = {}
        self._age: list[int] = []  # cached blocks, the first that was filled first

    @property
    def free(self) -> int:
        return len(self.queue)

    @free.setter
    def free(self, value: int) -> None:
        assert value == len(self.queue)

    def blocks(self, tok: int) -> int:
        return -(-tok // self.block_tok)

    def _found(self, job: Job) -> list[int]:
        text, found = contents(job.request), []
        for i in range((job.target_tok - 1) // self.block_tok):
            wanted = tuple(text[:(i + 1) * self.block_tok])
            have = [block for block in self._age if self.holds[block] == wanted]
            if not have:
                break
            found.append(have[0])
        return found

    def look(self, job: Job) -> Hit:
        return Hit(len(self._found(job)) * self.block_tok)

    def admit(self, job: Job, hit: Hit, tok: int, fit_tok: int = 0) -> bool:
        found = self._found(job)
        assert hit.tok == len(found) * self.block_tok
        idle = [block for block in found if not self.refs[block]]
        if self.blocks(max(tok, fit_tok)) - len(found) > len(self.queue) - len(idle):
            return False
        for block in found:
            if not self.refs[block]:
                self.queue.remove(block)
            self.refs[block] += 1
        self.held[job] = found
        return self.grow(job, tok)

    def grow(self, job: Job, tok: int) -> bool:
        mine = self.held[job]
        more = self.blocks(tok) - len(mine)
        if more > len(self.queue):
            return False
        for _ in range(more):
            block = self.queue.pop(0)
            if self.holds[block] is not None:
                self._age = [other for other in self._age if other != block]
            self.holds[block] = None
            self.refs[block] = 1
            mine.append(block)
        self._fill(job, min(tok, job.request.prompt_tok + job.out_tok))
        job.blocks = len(mine)
        return True

    def _fill(self, job: Job, tok: int) -> None:
        text, mine = contents(job.request), self.held[job]
        for i in range(tok // self.block_tok):
            if self.holds[mine[i]] is None:
                self.holds[mine[i]] = tuple(text[:(i + 1) * self.block_tok])
                self._age = [*self._age, mine[i]]

    def take(self, n: int) -> None:
        raise AssertionError(f"{n}: nobody jumps here")

    def release(self, job: Job) -> None:
        for block in reversed(self.held.pop(job, [])):
            self.refs[block] -= 1
            if not self.refs[block]:
                self.queue.append(block)
        job.blocks = 0

    def preempt(self, job: Job) -> None:
        self._fill(job, job.kv_tok - job.late_tok)  # a decode with room in its last block did not ask to grow
        self.release(job)
