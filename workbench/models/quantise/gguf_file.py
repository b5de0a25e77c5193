"""A model folder as a GGUF file in any format: the uniform ones by us, K-quants by llama.cpp's quantiser."""

from __future__ import annotations

from pathlib import Path

from workbench.models import formats
from workbench.models.convert import Converted, convert
from workbench.models.folder import ModelFolder
from workbench.models.quantise import kquants, llama_tool
from workbench.models.quantise.llama_tool import Tool


def tool_for(quant: str) -> Tool | None:
    """What makes the format beside us; UsageError where it is not here."""
    return llama_tool.find() if quant in formats.K_QUANTS else None


def make(folder: ModelFolder, quant: str, out: Path, importance: kquants.Importance | None = None) -> Converted:
    """Whole or not at all."""
    tool = tool_for(quant)
    return convert(folder, quant, out) if tool is None else kquants.make(folder, quant, out, tool, importance)
