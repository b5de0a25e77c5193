"""Quality down to about 2 bits: `python -m workbench.models.training.curve [DIR] [--out curve.json]`.

Weights go through a format and back, then the world's tasks are scored in numpy: the arithmetic of the format
on any engine, without the engine's own rounding. About two minutes on one thread.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from workbench.models import formats, tokenizer
from workbench.models.folder import open_folder
from workbench.models.forward import Llama
from workbench.models.shipped import shipped_folder
from workbench.models.tensors import Floats
from workbench.models.training.rounding import round_to_nearest
from workbench.models.training.score import score, text_logprobs, text_rows, text_scores
from workbench.models.world import World

TEXT_DOCUMENTS = 120


@dataclass(frozen=True, slots=True)
class Point:
    """A way to store matrices. Bits per weight of the matrices, scales included."""

    name: str
    bits_per_weight: float
    through: Callable[[Floats], Floats]


def _matrices(change: Callable[[Floats], Floats], values: Floats) -> Floats:
    return change(values) if values.ndim > 1 else values


def _gguf(quant: str, bits: float) -> Point:
    return Point(quant, bits, partial(formats.round_trip, quant=quant))


def _rounded(bits: int, block: int) -> Point:
    change = partial(round_to_nearest, bits=bits, block=block)
    return Point(f"RTN {bits} bit, blocks of {block}", bits + 16 / block, partial(_matrices, change))


POINTS: tuple[Point, ...] = (
    _gguf("F16", 16.0), _gguf("Q8_0", 8.5), _gguf("Q5_0", 5.5), _gguf("Q4_0", 4.5),
    _rounded(3, 32), _rounded(3, 128), _rounded(2, 32), _gguf("TQ2_0", 2.0625),
)


def curve(path: Path) -> Iterator[dict[str, Any]]:
    """One row a point: distance to F16 on held-out text, then the tasks."""
    folder, world = open_folder(path), World()
    words = tokenizer.load(path)
    rows = text_rows(words, world, TEXT_DOCUMENTS)
    reference = text_logprobs(Llama(folder.arch, folder.tensors), rows)
    for point in POINTS:
        model = Llama(folder.arch, folder.tensors, point.through)
        distance = text_scores(rows, reference, text_logprobs(model, rows))
        text = {key: value if isinstance(value, int) else round(value, 6) for key, value in asdict(distance).items()}
        tasks = {key: value if isinstance(value, int) else round(value, 4)
                 for key, value in asdict(score(model, words, world)).items()}
        yield {"name": point.name, "bits_per_weight": point.bits_per_weight, **text, **tasks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=None)
    parser.add_argument("--out", type=Path, help="also write the rows as JSON")
    arguments = parser.parse_args()
    rows = []
    print(f"{'format':24} {'bits':>6} {'KL':>10} {'ppl':>8} {'top-1':>6} {'cloze':>6} {'four':>6} {'pass@1':>6}")
    for row in curve(arguments.folder or shipped_folder()):
        rows.append(row)
        shares = (row[key] for key in ("top_1_frac", "cloze", "four_choice", "pass_at_1"))
        print(f"{row['name']:24} {row['bits_per_weight']:6.2f} {row['kl_mean']:10.6f} {row['perplexity']:8.3f} "
              + " ".join(f"{share:6.3f}" for share in shares), flush=True)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
