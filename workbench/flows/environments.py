"""Every environment on the disk, of engines, quantisers, lm-eval: what for, whether it is whole, what it takes."""

from typing import Any

from engines import NAMES, own
from workbench.flows import quality_compare, quality_harness, quantise_environments
from workbench.models.quantise import llama_tool

USES = {
    **dict.fromkeys(NAMES, "engine"), **dict.fromkeys(quantise_environments.RECORDS, "quantiser"),
    quality_harness.NAME: "lm-eval", quality_compare.NAME: "quality compare", llama_tool.PREBUILT: "K-quants' library",
}


def environments() -> list[dict[str, Any]]:
    """Engines first, as they are listed elsewhere. `engine` is the name of the environment, whatever it is for."""
    names = [name for name in USES if own.folder(name).is_dir()]
    others = sorted(path.name for path in own.root().glob("*") if path.is_dir() and path.name not in USES)
    return [_told(name) for name in (*names, *others)]


def _told(name: str) -> dict[str, Any]:
    folder, stamp = own.folder(name), own.installed(name)
    fetched = any(folder.glob("libllama.*so")) if name == llama_tool.PREBUILT else False
    return {
        "engine": name, "use": USES.get(name, "not known"), "version": stamp.version if stamp else None,
        "finished": stamp is not None or fetched, "packages": stamp.packages if stamp else None,
        "disk_bytes": own.disk_bytes(folder),
    }
