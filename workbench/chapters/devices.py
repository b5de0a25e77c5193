"""The shipped classes of devices and browser models (datasets/browser), as chapter 5.5 and appendix H ask of them."""

import tomllib
from functools import cache
from typing import Any

from workbench.control.hybrid.browser_models import BrowserModel, BrowserModelRegistry, Device
from workbench.control.hybrid.part import Hybrid
from workbench.paths import datasets


@cache
def shipped() -> Hybrid:
    return Hybrid(_rows("models", "model"), _rows("devices", "device"))


def registry() -> BrowserModelRegistry:
    return shipped().registry


def devices() -> dict[str, Device]:
    return shipped().devices


def tok_per_s(model: BrowserModel, device: Device) -> float:
    """Of one answer while it is written. Origin: roofline."""
    return device.bytes_per_s / model.weight_bytes


def _rows(file: str, key: str) -> list[dict[str, Any]]:
    text = (datasets() / "browser" / f"{file}.toml").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = tomllib.loads(text)[key]
    return found
