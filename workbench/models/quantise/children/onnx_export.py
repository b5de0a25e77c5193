"""onnxruntime-genai's exporter; int8 by onnxruntime's dynamic quantiser on the exported graph."""

import shutil
import subprocess
import sys
from pathlib import Path

from workbench.models.quantise.children import common


def main(order: Path) -> int:
    asked = common.read(order)
    settings, out = asked["settings"], Path(asked["out"])
    scratch = out.with_name(out.name + ".export")
    common.tell("exporting")
    target = scratch if settings.get("dynamic_int8") else out
    target.mkdir(parents=True, exist_ok=True)
    words = ["-m", asked["model"], "-o", str(target), "-p", settings["precision"], "-e", "cpu", "-c",
             str(scratch / "cache")]
    subprocess.run([sys.executable, "-P", "-m", "onnxruntime_genai.models.builder", *words], check=True)
    if settings.get("dynamic_int8"):
        common.tell("quantising")
        _int8(target, out)
    shutil.rmtree(scratch, ignore_errors=True)
    return common.finish(asked, "onnxruntime-genai", "onnxruntime", "onnx")


def _int8(source: Path, out: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    out.mkdir(parents=True, exist_ok=True)
    quantize_dynamic(str(source / "model.onnx"), str(out / "model.onnx"), weight_type=QuantType.QInt8, per_channel=True,
                     use_external_data_format=True)
    for path in source.iterdir():
        if path.is_file() and not path.name.startswith("model.onnx"):
            shutil.copyfile(path, out / path.name)
