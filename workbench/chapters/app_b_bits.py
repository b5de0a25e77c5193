"""What fewer bits cost: an 8B by other people's figures, the shipped model by ours, on one axis."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.chapters.playing import said
from workbench.figures.chart import Chart, Panel, Series
from workbench.hardware import models
from workbench.hardware.accelerators import GIB
from workbench.paths import datasets
from workbench.quality import published
from workbench.quality.published import PublishedDistance
from workbench.quality.table import QualityRow, read
from workbench.report.results import Result
from workbench.stats.intervals import Interval

LARGE, TASK = "Llama-3.1-8B", "tiny_code"
SOURCE_Z = 1.96  # the source gives standard errors


@dataclass(frozen=True)
class Kept:
    """`quant` is what was asked for; both tables hold what they have of it and of the rest."""

    quant: str
    large: tuple[PublishedDistance, ...]
    tiny: tuple[QualityRow, ...]

    @property
    def imported(self) -> Interval | None:
        """Mean KL divergence of the 8B in this format (nats); n is not told by the source."""
        found = [one for one in self.large if one.quant.lower() == self.quant.lower()]
        return _interval(found[0]) if found else None

    @property
    def measured(self) -> Interval | None:
        """Share of the functions that the shipped model still writes."""
        found = [row for row in self.tiny if row.words["quant"].lower() == self.quant.lower()]
        return found[0].tasks[TASK].share if found else None

    def results(self) -> list[Result]:
        large, tiny = self.imported, self.measured
        found = [] if large is None else [Result(f"kl_8b_{self.quant}", large.mean, "nats", "imported", None,
                                                 large.low, large.high)]
        return found if tiny is None else [*found, Result(f"code_tiny_{self.quant}", tiny.mean, "", "measured", tiny.n,
                                                          tiny.low, tiny.high)]

    def said(self) -> str:
        large, tiny = self.imported, self.measured
        told = [f"{said(large.mean, large.low, large.high)} nats of an 8B's distribution (imported)"] if large else []
        if tiny:
            told.append(f"and leave the shipped model {tiny.mean:.1%} ({tiny.low:.1%} to {tiny.high:.1%}, n = {tiny.n})"
                        " of its functions (measured)")
        words = " ".join(told)
        return f"Its bits cost {words}." if large else f"No published divergence of {self.quant} is here."


def kept(quant: str) -> Kept:
    rows = read(datasets() / "quality" / "tiny_world.csv")
    return Kept(quant, tuple(one for one in published.distances() if not one.imatrix), tuple(
        row for row in rows if row.words["engine"] == "llama.cpp" and row.words["kv_type"] == "f16"))


def bits_chart(found: Kept) -> Chart:
    large, tiny = [one for one in found.large if one.quant != "F16"], [
        row for row in found.tiny if row.words["quant"] != "F16"]
    shares = [row.tasks[TASK].share for row in found.tiny]
    far = (_series("Llama 3 8B", [_bits(one) for one in large], [_interval(one) for one in large], 1, imported=True),
           _series("shipped model", [row.values["bits_per_weight"] for row in tiny],
                   [row.figures["kl_mean"] for row in tiny], 0))
    right = _series("shipped model", [row.values["bits_per_weight"] for row in found.tiny], shares, 0)
    return Chart(
        "bits", "bits per weight",
        (Panel("mean KL divergence to F16 (nats)", far, log_y=True), Panel("share of functions right", (right,))),
        "Each bit that goes moves the answers further. An 8B moves much further than the shipped model, whose world is "
        "small: do not take the one for the other. "
        f"{', '.join(f'{one.quant} {_bits(one):.1f}' for one in large)}.",
        f"n = {len(large)} published and {len(tiny)} measured formats, {shares[0].n} functions; whiskers are 95 % "
        "intervals; source: ggml-org/llama.cpp (MIT), datasets/quality",
        "Two panels over bits per weight: divergence on a logarithmic axis falls from two bits to eight for both "
        "models and is larger for the 8B; the share of functions right falls to nothing only at two bits.")


def _series(label: str, bits: Sequence[float], found: Sequence[Interval], colour: int, *,
            imported: bool = False) -> Series:
    return Series(label, tuple(bits), tuple(one.mean for one in found), "imported" if imported else "measured",
                  "points", colour, tuple(max(one.low, 1e-9) for one in found), tuple(one.high for one in found))


def _bits(one: PublishedDistance) -> float:
    """Of the whole file, from its size."""
    return 8 * one.size_gib * GIB / models.find(LARGE).params


def _interval(one: PublishedDistance) -> Interval:
    half = SOURCE_Z * one.kl_mean_err
    return Interval(one.kl_mean, one.kl_mean - half, one.kl_mean + half, 0)
