"""The values of the schema: whole numbers that add up in any order, and Prometheus' text of them."""

from bisect import bisect_left
from collections.abc import Iterator

from workbench.control.telemetry.schema import BY_NAME, SCHEMA, Series

Labels = tuple[str, ...]


class Histogram:
    """`counts`: in each bucket, the last one beyond all edges; `total` in the whole unit."""

    __slots__ = ("counts", "edges", "total")

    def __init__(self, edges: tuple[int, ...]) -> None:
        self.edges, self.counts, self.total = edges, [0] * (len(edges) + 1), 0

    def add(self, value: int) -> None:
        self.counts[bisect_left(self.edges, value)] += 1  # an edge belongs to its bucket: `le`
        self.total += value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and (self.counts, self.total) == (other.counts, other.total)

    __hash__ = None  # type: ignore[assignment]  # it changes


class Values:
    """Of every series that was ever touched. KeyError for a name that the schema does not have."""

    def __init__(self) -> None:
        self.numbers: dict[str, dict[Labels, int]] = {one.name: {} for one in SCHEMA if not one.buckets}
        self.histograms: dict[str, dict[Labels, Histogram]] = {one.name: {} for one in SCHEMA if one.buckets}

    def add(self, name: str, labels: Labels = (), by: int = 1) -> None:
        found = self.numbers[name]
        found[labels] = found.get(labels, 0) + by

    def set(self, name: str, labels: Labels, value: int) -> None:
        self.numbers[name][labels] = value

    def observe(self, name: str, labels: Labels, value: int) -> None:
        found = self.histograms[name].get(labels)
        if found is None:
            found = self.histograms[name][labels] = Histogram(BY_NAME[name].buckets)
        found.add(value)

    def get(self, name: str, *labels: str) -> int:
        return self.numbers[name].get(labels, 0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Values) and (self.numbers, self.histograms) == (other.numbers, other.histograms)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def text(self) -> str:
        """Prometheus' exposition format 0.0.4, in the order of the schema; labels by name, then value."""
        return "".join(f"{line}\n" for one in SCHEMA for line in self._lines(one))

    def _lines(self, one: Series) -> Iterator[str]:
        yield f"# HELP {one.name} {one.here[0].upper()}{one.here[1:]}."
        yield f"# TYPE {one.name} {one.kind}"
        if not one.buckets:
            for labels, number in sorted(self.numbers[one.name].items()):
                yield f"{one.name}{_braces(one.labels, labels)} {_decimal(number, one.scale)}"
            return
        for labels, found in sorted(self.histograms[one.name].items()):
            so_far = 0
            for edge, count in zip(found.edges, found.counts, strict=False):
                so_far += count
                le = _decimal(edge, one.scale)
                yield f"{one.name}_bucket{_braces((*one.labels, 'le'), (*labels, le))} {so_far}"
            n = sum(found.counts)
            yield f"{one.name}_bucket{_braces((*one.labels, 'le'), (*labels, '+Inf'))} {n}"
            yield f"{one.name}_sum{_braces(one.labels, labels)} {_decimal(found.total, one.scale)}"
            yield f"{one.name}_count{_braces(one.labels, labels)} {n}"


def _braces(names: Labels, values: Labels) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _decimal(value: int, scale: int) -> str:
    """Exact: scales are powers of ten, and no float rounds a sum."""
    if scale == 1:
        return str(value)
    sign, digits = "-" if value < 0 else "", len(str(scale)) - 1
    whole, rest = divmod(abs(value), scale)
    return f"{sign}{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".")  # the point keeps zeros of the whole
