"""What a request costs outside the engine (it shifts times) and at its admission (it takes engine time)."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Overheads:
    """`in_ns` on the way to the engine, `out_ns` on the way back: neither limits throughput.
    `admit_ns` occupies the engine, once for each admission."""

    in_ns: int = 0
    out_ns: int = 0
    admit_ns: int = 0

    def __post_init__(self) -> None:
        if min(self.in_ns, self.out_ns, self.admit_ns) < 0:
            raise ValueError(f"{self}: an overhead is never negative")

    @staticmethod
    def of(profile: Any) -> "Overheads":
        """From a profile's declared overheads; a name that ends in `out` is on the way back, others on the way in."""
        found = tuple(getattr(profile, "overheads", ()))
        outside = [item for item in found if not item.occupies_engine]
        return Overheads(
            in_ns=sum(item.ns for item in outside if not item.name.endswith("out")),
            out_ns=sum(item.ns for item in outside if item.name.endswith("out")),
            admit_ns=sum(item.ns for item in found if item.occupies_engine),
        )
