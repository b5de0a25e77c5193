"""A guess of how long a request takes once it is released."""

from workbench.control.limits.answer import whole
from workbench.control.request import Waiting


class Service:
    """base + prompt tokens x prompt_ns + estimated output tokens x output_ns. All 0: only what is late is late."""

    def __init__(self, base_ns: int = 0, prompt_ns: int = 0, output_ns: int = 0) -> None:
        self.base_ns, self.prompt_ns = whole("service.base_ns", base_ns, 0), whole("service.prompt_ns", prompt_ns, 0)
        self.output_ns = whole("service.output_ns", output_ns, 0)

    def takes_ns(self, item: Waiting) -> int:
        return self.base_ns + item.prompt_tok * self.prompt_ns + item.estimated_tok * self.output_ns
