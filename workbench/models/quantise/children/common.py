"""Orders in, progress and results out; perplexity by a torch model."""

import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any

MARK = "workbench: "  # begins a line of progress among whatever a library prints


def read(order: Path) -> dict[str, Any]:
    """The order; compute threads are set before a library reads them."""
    asked: dict[str, Any] = json.loads(order.read_text(encoding="utf-8"))
    os.environ["OMP_NUM_THREADS"] = str(asked.get("threads", 1))
    return asked


def tell(stage: str, done: int = 0, total: int = 0) -> None:
    print(MARK + json.dumps({"stage": stage, "done": done, "total": total}), flush=True)  # noqa: T201 (to our parent)


def finish(asked: dict[str, Any], *distributions: str, **found: Any) -> int:
    """Written last: without it the child has failed, whatever its exit code."""
    found["library"] = {name: metadata.version(name) for name in distributions}
    Path(asked["result"]).write_text(json.dumps(found), encoding="utf-8")
    return 0


def load(path: str, **more: Any) -> Any:
    """A causal model in float32 on the CPU; nothing from the hub, no code from the folder."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    more = {"dtype": torch.float32, "local_files_only": True, "trust_remote_code": False} | more
    return AutoModelForCausalLM.from_pretrained(path, **more).eval()


def stored_dtype(asked: dict[str, Any]) -> Any:
    """The source's own type, in which what is not quantised shall lie and engines compute."""
    import torch

    return getattr(torch, asked["dtype"])


def mean_nats(model: Any, rows: list[list[int]]) -> float:
    """Mean negative log-probability of each token but the first of its row."""
    import torch

    total, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            ids = torch.tensor([row])
            scores = torch.log_softmax(model(input_ids=ids).logits[0, :-1].float(), dim=-1)
            total -= float(scores.gather(1, ids[0, 1:, None]).double().sum())
            count += len(row) - 1
    return total / count
