"""`transformers serve` with a key, on a port of its own choice, and ready only when the model is loaded."""

import os
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from engines.contract import announce, read_config
from engines.hosted.echo import Scored, echoing
from engines.hosted.guard import guarded

CLOSED = frozenset({"/load_model", "/reset", "/v1/audio/transcriptions"})  # would change what is measured
WARM_S = 600.0


def main(config: Path) -> int:
    asked = read_config(config)
    options = asked["options"]
    if options["device"] == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if options["beside"] and not _add(options["beside"]):
        print(f"environment {options['beside']!r} is not here: workbench quantise MODEL --to METHOD --install makes it",  # noqa: T201
              file=sys.stderr)
        return 1
    import torch
    from transformers.cli import serve
    from transformers.cli.serving import server

    torch.set_num_threads(options["threads"])
    build = server.build_server

    def build_guarded(*given: Any, **more: Any) -> Any:
        def score(ids: list[int]) -> Scored:
            return _scored(served, asked["model_name"], ids)

        return guarded(echoing(build(*given, **more), score), asked["api_key"], CLOSED)

    server.build_server = build_guarded
    # the model is called by its name, and the server knows models by their path: a link of that name lies in our folder
    os.chdir(_linked(asked))
    port = asked["port"] or _free_port(asked["host"])
    served = serve.Serve(
        force_model=asked["model_name"], continuous_batching=options["continuous_batching"],
        attn_implementation=options["attention"], quantization=options["quant"], device=options["device"],
        dtype=options["dtype"], cb_block_size=options["block_tok"], cb_num_blocks=options["kv_blocks"],
        cb_max_batch_tokens=options["max_batch_tok"], host=asked["host"], port=port, log_level="error",
        non_blocking=True,
    )
    listed = {"id": asked["model_name"], "object": "model", "created": 0, "owned_by": "transformers"}
    served._model_manager.get_gen_models = lambda: [listed]  # its own list is what lies in the hub's cache
    url = f"http://{asked['host']}:{port}"
    _tell(served, torch, options)
    if not _warm(url, asked):
        print("the model did not answer", file=sys.stderr)  # noqa: T201 (this process's log)
        return 1
    announce(url)
    threading.Event().wait()
    return 0


def _add(environment: str) -> bool:
    """Its libraries after ours, which stay as they are; both are of one Python and one torch. False: it is not here."""
    found = sorted((Path(sys.prefix).parent / environment).glob("lib/python3.*/site-packages"))
    sys.path.extend(map(str, found))
    return bool(found)


def _scored(served: Any, name: str, ids: list[int]) -> Scored:
    """In float32: the log-probability of each token after those before it, and the greedy token's."""
    import torch

    if served._generation_state._continuous_batching:
        raise RuntimeError("log-probabilities of a prompt need continuous_batching off: it changes the attention")
    manager = served._model_manager
    model, _ = manager.load_model_and_processor(manager.process_model_name(name))
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([ids], device=model.device)).logits[0]
        found = torch.log_softmax(logits.float(), -1)
    own = found[:-1].gather(1, torch.tensor(ids[1:], device=found.device)[:, None])[:, 0]
    return own.tolist(), found.max(-1).values.tolist()


def _linked(asked: dict[str, Any]) -> str:
    """A scratch folder in which the model's folder has the model's name."""
    import tempfile

    folder = tempfile.mkdtemp(prefix="wb-")
    os.symlink(asked["model_path"], os.path.join(folder, asked["model_name"]))
    return folder


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _warm(url: str, asked: dict[str, Any]) -> bool:
    """One request: it loads the model and starts the batching thread, which then takes its settings from it."""
    import json

    body = json.dumps({"model": asked["model_name"], "prompt": "a", "max_tokens": 1, "temperature": 0}).encode()
    headers = {"Authorization": f"Bearer {asked['api_key']}", "Content-Type": "application/json"}
    deadline = time.monotonic() + WARM_S
    while time.monotonic() < deadline:
        try:
            request = urllib.request.Request(url + "/v1/completions", body, headers)
            with urllib.request.urlopen(request, timeout=WARM_S) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            print(error.read().decode("utf-8", "replace"), file=sys.stderr)  # noqa: T201
            return False
        except OSError:
            time.sleep(0.05)  # it does not listen yet
    return False


def _tell(served: Any, torch: Any, options: dict[str, Any]) -> None:
    """Facts into the log: the server itself has no page for them."""
    import json

    import transformers

    manager = served._model_manager
    facts = {
        "version": transformers.__version__, "threads": torch.get_num_threads(),
        "continuous_batching": bool(served._generation_state._continuous_batching),
        "device": str(getattr(manager, "device", options["device"])), "torch": torch.__version__,
        "beside": options["beside"],
    }
    print("workbench facts: " + json.dumps(facts), file=sys.stderr, flush=True)  # noqa: T201
