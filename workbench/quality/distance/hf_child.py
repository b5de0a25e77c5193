"""All logits of a text from transformers, run by the Python that has it: `python hf_child.py JOB.json OUT.f32`.

Imports nothing of the workbench: that is not installed there.
"""

import json
import sys
from pathlib import Path
from typing import Any


def main(job: dict[str, Any], out: Path) -> dict[str, Any]:
    import torch
    import transformers

    torch.set_num_threads(job["threads"])
    loader = transformers.AutoModelForCausalLM
    model = loader.from_pretrained(job["model"], dtype=torch.float32, local_files_only=True).eval()
    with out.open("wb") as file, torch.no_grad():
        for ids in job["rows"]:
            logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].float().contiguous()
            file.write(logits.numpy().tobytes())
    return {"vocabulary": int(logits.shape[-1]), "version": transformers.__version__, "torch": torch.__version__}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))))  # noqa: T201
