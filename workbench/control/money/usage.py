"""What one request used: the fact from which price and cost follow."""

from typing import NamedTuple


class Usage(NamedTuple):
    """`key` makes it count once, however often it is told. Cached tokens are part of the prompt's."""

    key: str
    at_ns: int
    tenant: str
    model: str
    prompt_tok: int
    output_tok: int
    cached_tok: int = 0
    cost_pusd: int = 0
    user: str = ""
    request_id: str = ""

    def check(self) -> "Usage":
        """Itself; one line of ValueError for what cannot be."""
        _, at_ns, _, _, prompt_tok, output_tok, cached_tok, cost_pusd, _, _ = self
        if not (type(at_ns) is type(prompt_tok) is type(output_tok) is type(cached_tok) is type(cost_pusd) is int):
            raise ValueError(f"usage {self.key!r}: times, tokens and cost are integers, got {tuple(self)}")
        if cached_tok < 0 or prompt_tok < cached_tok or output_tok < 0 or cost_pusd < 0:
            raise ValueError(f"usage {self.key!r}: prompt {prompt_tok}, of it cached {cached_tok}, output {output_tok} "
                             f"tokens, cost {cost_pusd}: none is negative, cached is at most the prompt")
        return self
