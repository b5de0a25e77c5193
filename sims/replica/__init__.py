"""The per-iteration replica: the oracle of the simulator, plain and obvious, one iteration a step.

    replica = Replica(LlamaCppRules(slots=4), profile)
    replica.submit(now_ns, Request("r000000", prompt_tok=100, output_tok=20))
    iteration = replica.step(now_ns)          # None when idle; tokens of iteration.emitted come at iteration.end_ns
    iteration = replica.step(iteration.end_ns)
"""

from sims.replica.job import Job, Request
from sims.replica.replica import Iteration, IterationTime, Replica, batcher

__all__ = ["Iteration", "IterationTime", "Job", "Replica", "Request", "batcher"]
