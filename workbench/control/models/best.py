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
    """`version` None: none can; `refused` then says why, one line for each."""

    version: Version | None
    price_pusd: int = 0
    refused: tuple[str, ...] = ()


def best(versions: Sequence[Version], need: Need) -> Choice:
    """Cheapest at the estimated length; ties to the better, then by name."""
    able = []
    for version in versions:
        price_pusd = version.price_pusd(need.prompt_tok, need.estimated_tok)
        if not _why_not(version, need, price_pusd):
            able.append((price_pusd, -version.quality_ppm, version))
    if able:
        price_pusd, _, chosen = min(able)
        return Choice(chosen, price_pusd)
    prices = [version.price_pusd(need.prompt_tok, need.estimated_tok) for version in versions]
    return Choice(None, 0, tuple(f"{version.name}: {_why_not(version, need, price_pusd)}"
                                 for version, price_pusd in zip(versions, prices, strict=True)))


def _why_not(version: Version, need: Need, price_pusd: int) -> str:
    length_tok = need.prompt_tok + need.estimated_tok
    for name in need.capabilities:
        if name not in version.capabilities:
            return f"cannot {name}"
    if length_tok > version.context_tok:
        return f"{length_tok} tokens exceed its context of {version.context_tok}"
    if version.quality_ppm < need.floor_ppm:
        return f"quality {version.quality_ppm} ppm is below the floor of {need.floor_ppm}"
    if need.most_pusd is not None and price_pusd > need.most_pusd:
        return f"{price_pusd} pUSD exceed {need.most_pusd}"
    return ""
