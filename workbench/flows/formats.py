"""The format matrix: which engine reads which format, by trying it; kept as data, shown in the docs and by inspect."""

from typing import Any

from workbench.files import read_json
from workbench.paths import datasets

FORM = {"gguf": "GGUF", "safetensors": "safetensors", "onnx": "ONNX"}


def matrix() -> dict[str, Any]:
    """As `benchmarks/format_matrix.py` wrote it last."""
    found: dict[str, Any] = read_json(datasets() / "formats" / "matrix.json")
    return found


def readers(form: str, method: str) -> dict[str, str]:
    """Engine -> what came of trying it with this format; empty where this one was never tried."""
    return {row["engine"]: words(row) for row in matrix()["rows"]
            if row["form"] == form and row["format"].lower() == method.lower()}


def words(row: dict[str, Any]) -> str:
    """One cell: reads, refuses, reads wrongly, or untried with the reason."""
    if "untried" in row:
        return f"untried: {row['untried']}"
    if "refused" in row:
        return f"refuses: {row['refused']}"
    good = row.get("good", True)
    return f"{'reads' if good else 'reads wrongly'} (perplexity {row['perplexity']:.4g})"
