"""Weighted fair queueing in its start-time form, and the virtual token counter."""

from collections.abc import Mapping

from workbench.control.request import Waiting
from workbench.control.scheduling.flows import Flow, Flows


class StartTimeFair(Flows):
    """Start-time fair queueing. Source: Goyal, Vin & Cheng, SIGCOMM 1996.

    A tenant's counter is the start tag of its first request; virtual time is the start tag released last; who
    returns begins there. Counted at release: prompt and estimated output. While two tenants both wait, their
    service over weight differs by at most largest request of one / its weight + the same of the other. The
    estimate is replaced by the real length once known; real service then stays within 2N times that, for N
    released and unsettled requests a tenant and the larger of guess and truth. When nobody waits, virtual time
    goes to the largest counter (the paper: when the server is idle), so nothing is owed or saved across such a moment.
    """

    _virtual = _largest = 0

    def _guess(self, item: Waiting) -> int:
        return self.tab.cost(item.prompt_tok, item.estimated_tok)

    def _level(self) -> int:
        return self._virtual

    def _released(self, item: Waiting) -> None:
        flow = self._flows[item.tenant]
        self._virtual = max(self._virtual, flow.counter)
        super()._released(item)
        self._largest = max(self._largest, flow.counter)
        if not self._items:
            self._virtual = self._largest


class VirtualTokens(Flows):
    """The virtual token counter (VTC). Source: Sheng et al., arXiv 2401.00588, algorithm 2.

    Counted at release: the prompt; output only as it is told, so no estimate is needed (`predict` counts it as well,
    the paper's variant with length prediction). Who returns is lifted to the least counter of those that wait, or, if
    nobody does, to that of the tenant that stopped waiting last: idle time is not saved up. While two tenants both
    wait, their service over weight differs by at most U_f + U_g, with U = (largest prompt x prompt_cost + N x
    largest output x output_cost) / weight and N the most requests of a tenant released at once (theorem 4.4).
    """

    def __init__(
        self,
        weights: Mapping[str, int] | None = None,
        tier_weights: Mapping[str, int] | None = None,
        default_weight: int = 1,
        prompt_cost: int = 1,
        output_cost: int = 2,
        predict: bool = False,
    ) -> None:
        super().__init__(weights, tier_weights, default_weight, prompt_cost, output_cost)
        self.predict = predict
        self._last: Flow | None = None  # stopped waiting last

    def _guess(self, item: Waiting) -> int:
        return self.tab.cost(item.prompt_tok, item.estimated_tok if self.predict else 0)

    def _level(self) -> int:
        least = self._least() or self._last
        return least.counter if least else 0

    def _released(self, item: Waiting) -> None:
        super()._released(item)
        self._last = self._flows[item.tenant]

    def _removed(self, item: Waiting) -> None:
        super()._removed(item)
        self._last = self._flows[item.tenant]
