"""How long a request is on its way into the engine, found from the runs themselves.

The client knows when it sent, the rules say which batch a request joins once it is there. With a wrong delay some
requests are put into the wrong batch: a decode of 2 ms then seems to take as long as a prompt. So the delay under
which decodes of equal size take most nearly equal times is the one to believe.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from sims.replay import replay
from sims.rules import LlamaCppRules
from workbench.runlog.table import RunLog

CANDIDATES_NS = tuple(range(200_000, 2_000_001, 200_000))


def estimate_ns(logs: Sequence[RunLog], rules: LlamaCppRules) -> int:
    """The delay under which decode times deviate least from the median of their batch size.

    Runs tell it to within a step or two: among the delays that fit as well as the best (to 1 %) the middle one.
    """
    misfit = {delay_ns: misfit_ns(logs, rules, delay_ns) for delay_ns in CANDIDATES_NS}
    good = [delay_ns for delay_ns in CANDIDATES_NS if misfit[delay_ns] <= 1.01 * min(misfit.values())]
    return good[len(good) // 2]


def misfit_ns(logs: Sequence[RunLog], rules: LlamaCppRules, delay_ns: int) -> float:
    """Mean absolute deviation of a decode's time from the median of its batch size."""
    by_size: dict[int, list[int]] = defaultdict(list)
    for log in logs:
        for item in replay(log, rules, engine_in_ns=delay_ns).samples:
            if item.region == "decode":
                by_size[item.batch.decode_n].append(item.ns)
    if not by_size:
        return float("inf")
    off = [np.abs(np.array(times) - np.median(times)) for times in by_size.values()]
    return float(np.concatenate(off).mean())
