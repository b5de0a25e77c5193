"""optimum-benchmark's report (benchmark_report.json) beside a run log of ours, figure by figure, by definition."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import Failure
from workbench.files import read_json


@dataclass(frozen=True, slots=True)
class Figure:
    """One quantity as both define it. `theirs` and `ours` in `unit`, means; None where one does not say."""

    name: str
    unit: str
    theirs: float | None
    their_definition: str
    ours: float | None
    our_definition: str

    @property
    def ratio(self) -> float | None:
        """Ours over theirs."""
        return self.ours / self.theirs if self.ours is not None and self.theirs else None


def read(path: Path) -> dict[str, Any]:
    """Raises Failure where it is not such a report."""
    found = read_json(path)
    report = found.get("report", found) if isinstance(found, dict) else None
    if not isinstance(report, dict) or not any(key in report for key in ("prefill", "decode", "generate")):
        raise Failure(f"{path.name}: not a report of optimum-benchmark on text generation")
    return report


def figures(report: Mapping[str, Any], ours: Mapping[str, float | None], output_tok: float) -> tuple[Figure, ...]:
    """`ours` are means of a run log's metrics, one request in flight; `output_tok` the tokens of an answer."""
    decode = _latency(report, "decode")
    between = decode / (output_tok - 1) if decode is not None and output_tok > 1 else None
    return (
        Figure("time to first token", "s", _latency(report, "prefill"),
               "a call of generate for one token, on ids, in the process",
               ours.get("ttft_s"), "from the request sent to its first chunk: HTTP, tokeniser, queue and prefill"),
        Figure("time per output token", "s", between, "decode latency over the tokens after the first",
               ours.get("tpot_s"), "(last chunk - first chunk) over the tokens after the first chunk"),
        Figure("request", "s", _latency(report, "generate"), "a call of generate, on ids, in the process",
               ours.get("e2e_s"), "from the request sent to its last token, over HTTP"),
        Figure("throughput", "tok/s", _throughput(report, "decode"), "tokens after the first over decode latency",
               ours.get("output_tok_per_s"), "all output tokens over the whole window, gaps between requests too"),
    )


def _latency(report: Mapping[str, Any], target: str) -> float | None:
    return _number(report, target, "latency", "mean", "s")


def _throughput(report: Mapping[str, Any], target: str) -> float | None:
    return _number(report, target, "throughput", "value", "tokens/s")


def _number(report: Mapping[str, Any], target: str, kind: str, key: str, unit: str) -> float | None:
    found = (report.get(target) or {}).get(kind)
    if not isinstance(found, Mapping):
        return None
    if found.get("unit") != unit:
        raise Failure(f"optimum-benchmark: {target}.{kind} is in {found.get('unit')!r}, not {unit!r}; its report has "
                      "changed")
    value = found.get(key)
    return float(value) if isinstance(value, int | float) else None
