"""Why an option does not do: which constraint binds, and by how much; and which options nothing else beats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.flows.trial import Bench, Part, Trial


def over(part: Part, target_frac: float) -> str:
    """One limit in words: who keeps it, who should, and what it would have to be."""
    text = f"{part.name} binds: {part.held_frac:.1%} keep {part.limit_s:g} s, {target_frac:.1%} are asked"
    if part.at_target_s is None or part.over_frac is None:
        return text
    return f"{text}; that share needs {part.at_target_s:.3g} s, {part.over_frac:+.0%}"


def short_of(trial: Trial) -> str:
    """Of a fleet that does not keep the promise."""
    if trial.load_frac is not None and trial.load_frac >= 1.0:
        return f"capacity binds: the load is {trial.load_frac:.2f} times what the fleet completes"
    part = trial.binding
    return "nothing is completed" if part is None else over(part, trial.target_frac)


def unreachable(bench: Bench) -> str:
    """Of an engine that is too slow for one request alone."""
    part = bench.alone_binding()
    text = (f"unreachable: alone on the engine {bench.alone():.1%} of the requests meet the SLO, "
            f"{bench.target_frac:.1%} are asked; no number of replicas helps")
    if bench.servable_frac < 1.0:
        return f"{text} ({1 - bench.servable_frac:.1%} are longer than its KV cache or context)"
    return text if part is None else f"{text} ({over(part, bench.target_frac)})"


@dataclass(frozen=True, slots=True)
class Option:
    """A fleet that was tried. `quality`: higher is better; None where nobody measured it."""

    name: str
    replicas: int
    usd_per_hour: float
    attainment_frac: float
    quality: float | None
    met: bool


def beats(one: Option, other: Option) -> bool:
    """No worse in cost, attainment and quality, and better in one. An unknown quality is only as good as itself."""
    if (one.quality is None) != (other.quality is None):
        return False
    quality = (one.quality or 0.0) - (other.quality or 0.0)
    gains = (other.usd_per_hour - one.usd_per_hour, one.attainment_frac - other.attainment_frac, quality)
    return min(gains) >= 0 and max(gains) > 0


def pareto(options: Sequence[Option]) -> list[Option]:
    """What nothing beats, cheapest first; of equal ones the first."""
    kept = [one for i, one in enumerate(options)
            if not any(beats(other, one) for other in options) and one not in options[:i]]
    return sorted(kept, key=lambda one: (one.usd_per_hour, -one.attainment_frac, one.name, one.replicas))


def better(option: Option, options: Iterable[Option]) -> Option | None:
    """The cheapest that keeps the promise and beats `option`, if any."""
    able = [one for one in options if one.met and beats(one, option)]
    return min(able, key=lambda one: (one.usd_per_hour, one.name), default=None)
