"""llama.cpp's own logits, by a child process that loads the library of the `xllamacpp` wheel."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from workbench.errors import Failure
from workbench.quality.distance.expected import Expected, from_logits, joined
from workbench.quality.distance.text import Text

CHILD = "workbench.quality.distance.library_child"
OUT_OF_TIME_S = 3_600.0


class NotOffered(Failure):
    """This build of the library cannot be asked in this way; the server can."""


def expected(model: Path, text: Text, *, kv_type: str = "f16", threads: int = 1, env: dict[str, str]) -> Expected:
    """Of a GGUF file. Raises NotOffered where the library is not as we know it, Failure where the model is not."""
    return logits_of_child(
        [sys.executable, "-P", "-m", CHILD],
        {"model": str(model), "rows": text.rows, "kv_type": kv_type, "threads": threads}, text, env, model.name,
    )


def logits_of_child(words: list[str], job: dict[str, object], text: Text, env: dict[str, str], name: str) -> Expected:
    """Run `words JOB.json OUT` and read what it wrote: float32 [token, vocabulary], documents one after another."""
    with tempfile.TemporaryDirectory(prefix="workbench-logits-") as folder:
        given, out = Path(folder) / "job.json", Path(folder) / "logits.f32"
        given.write_text(json.dumps(job), encoding="utf-8")
        try:
            done = subprocess.run([*words, str(given), str(out)], env=env, stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=OUT_OF_TIME_S, check=False)
        except subprocess.TimeoutExpired:
            raise Failure(f"{name}: no logits within {OUT_OF_TIME_S:g} s; give fewer documents") from None
        told = done.stdout.decode("utf-8", "replace").strip().splitlines()
        if done.returncode or not told:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise Failure(f"{name}: no logits: {said[0][:300]}")
        answer = json.loads(told[-1])
        if "refused" in answer:
            raise NotOffered(f"llama.cpp's library is another than was known: {answer['refused']}")
        return _read(out, int(answer["vocabulary"]), text)


def _read(path: Path, vocabulary: int, text: Text) -> Expected:
    wanted = len(text.target) * vocabulary * 4
    if path.stat().st_size != wanted:
        raise Failure(f"{path.name}: {path.stat().st_size} bytes of logits instead of {wanted}")
    values, parts, begin = np.memmap(path, np.float32, "r", shape=(len(text.target), vocabulary)), [], 0
    for row in text.rows:  # a document at a time: a large vocabulary is cut down at once
        end = begin + len(row) - 1
        parts.append(from_logits(values[begin:end], text.target[begin:end]).kept())
        begin = end
    return joined(parts)
