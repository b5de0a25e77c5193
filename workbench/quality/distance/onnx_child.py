"""All logits of a text from ONNX Runtime GenAI, run by the Python that has it: `python onnx_child.py JOB.json OUT.f32`.

Imports nothing of the workbench: that is not installed there. An export whose head was pruned gives logits of a
prompt's last token only; it is refused.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any


def main(job: dict[str, Any], out: Path) -> dict[str, Any]:
    import numpy as np
    import onnxruntime_genai as og

    og.disable_telemetry_events()
    config = og.Config(job["model"])
    threads = {"intra_op_num_threads": job["threads"], "inter_op_num_threads": 1}
    config.overlay(json.dumps({"model": {"decoder": {"session_options": threads}}}))
    model = og.Model(config)
    with out.open("wb") as file:
        for ids in job["rows"]:
            given = og.GeneratorParams(model)
            given.set_search_options(max_length=len(ids) + 1, do_sample=False)
            generator = og.Generator(model, given)
            generator.append_tokens(np.array(ids, dtype=np.int32))
            logits = np.asarray(generator.get_output("logits"), dtype=np.float32)
            if logits.shape[:2] != (1, len(ids)):
                raise SystemExit(f"logits of shape {logits.shape} for {len(ids)} tokens: export the model without "
                                 "pruning its head")
            file.write(np.ascontiguousarray(logits[0, :-1]).tobytes())
    return {"vocabulary": int(logits.shape[-1]), "version": version("onnxruntime-genai")}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))))  # noqa: T201
