"""The best model for a request: the cheapest that can do it and is good enough."""

from collections.abc import Sequence
from typing import NamedTuple

from workbench.control.models.registry import Version


class Need(NamedTuple):
    """What a request asks of a model. `most_pusd` and `floor_ppm`: at most this price, at least this quality."""

    prompt_tok: int
    estimated_tok: int
    capabilities: tuple[str, ...] = ()
    floor_ppm: int = 0
    most_pusd: int | None = None


class Choice(NamedTuple):
    """`version` None: none can; `refused` says why, one line for each."""

    version: Version | None
    price_pusd: int = 0
    refused: tuple[str, ...] = ()


def best(versions: Sequence[Version], need: Need) -> Choice:
    """Cheapest at the estimated length; ties to the better, then by name."""
    refused, able = list[str](), list[tuple[int, int, str, Version]]()
    for version in versions:
        price_pusd = version.price_pusd(need.prompt_tok, need.estimated_tok)
        why = _why_not(version, need, price_pusd)
        if why:
            refused.append(f"{version.name}: {why}")
        else:
            able.append((price_pusd, -version.quality_ppm, version.name, version))
    if not able:
        return Choice(None, 0, tuple(refused))
    price_pusd, _, _, chosen = min(able)
    return Choice(chosen, price_pusd, tuple(refused))


def _why_not(version: Version, need: Need, price_pusd: int) -> str:
    missing = [name for name in need.capabilities if name not in version.capabilities]
    length_tok = need.prompt_tok + need.estimated_tok
    if missing:
        return f"cannot {', '.join(missing)}"
    if length_tok > version.context_tok:
        return f"{length_tok} tokens exceed its context of {version.context_tok}"
    if version.quality_ppm < need.floor_ppm:
        return f"quality {version.quality_ppm} ppm is below the floor of {need.floor_ppm}"
    if need.most_pusd is not None and price_pusd > need.most_pusd:
        return f"{price_pusd} pUSD exceed {need.most_pusd}"
    return ""
