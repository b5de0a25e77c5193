"""Models by name or path, as GGUF files ready for an engine; made on first use and cached."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from workbench.errors import Failure, UsageError
from workbench.models import arch as architecture
from workbench.models import formats, provenance, untrained
from workbench.models.convert import CONVERTER_VERSION, GROWN_KEY, WEIGHTS_KEY
from workbench.models.folder import NEEDED, OPTIONAL, ModelFolder, grown, open_folder
from workbench.models.gguf_header import GgufHeader, read_gguf_header
from workbench.models.grow import SEED, parse_params, plan
from workbench.models.quantise import gguf_file, kquants
from workbench.models.tensors import INDEX
from workbench.paths import cache, datasets

SHIPPED = "tiny"
_GROWN_NAME = re.compile(r"tiny-(\d{1,4})m")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A GGUF file. `weights_id` joins speed and quality; `context_tok` is the declared context."""

    name: str
    path: Path
    quant: str
    weights_id: str
    grown_from: str | None
    params: int
    context_tok: int
    bytes: int
    tokenizer_path: Path | None


def shipped_folder() -> Path:
    """Where the model that ships lies."""
    return datasets() / "models" / SHIPPED


def resolve(model: str) -> ModelFolder:
    """`tiny`, `tiny-27m` (any size), `random-135m`, or a safetensors folder."""
    if model == SHIPPED:
        return open_folder(shipped_folder(), SHIPPED)
    if model == untrained.NAME:
        return untrained.random_folder(open_folder(shipped_folder(), SHIPPED))
    match = _GROWN_NAME.fullmatch(model)
    if match is not None:
        base = open_folder(shipped_folder(), SHIPPED)
        return grown(base, plan(base.arch, parse_params(f"{match[1]}M")), model)
    path = Path(model)
    if not path.exists():
        raise UsageError(
            f"model: {model!r}: no such file or folder, and no shipped model; "
            f"there are '{SHIPPED}', '{SHIPPED}-27m' (any size), '{untrained.NAME}' and paths to a .gguf file or a "
            "safetensors folder"
        )
    if not path.is_dir():
        raise UsageError(f"model: {path.name}: neither a .gguf file nor a folder with safetensors")
    return open_folder(path.resolve())


def find(model: str, quant: str = "") -> ModelFile:
    """The GGUF file of a model in a format, made if it is not cached. K-quants need llama.cpp's quantiser.

    For a .gguf file `quant` must be what the file is, or empty. For anything else empty means F16.
    """
    if model.lower().endswith(".gguf"):
        return _existing(Path(model), quant)
    wanted = formats.checked(quant or "F16")
    folder = resolve(model)
    tool = gguf_file.tool_for(wanted)
    path = cache() / "models" / f"{folder.name}-{wanted}-{_key(folder, wanted, tool.version if tool else '')}.gguf"
    header = _usable(path)
    if header is None:
        gguf_file.make(folder, wanted, path)
        header = read_gguf_header(path)
    return _described(folder.name, path, wanted, header, folder.tokenizer_path)


def _key(folder: ModelFolder, quant: str, tool: str) -> str:
    """Of everything that decides the file's bytes."""
    made = f"{CONVERTER_VERSION} {SEED} {folder.recipe} {version('gguf')} {quant}{tool} {folder.arch}\n"
    total = hashlib.sha256(made.encode())
    files = [*NEEDED, *OPTIONAL, "chat_template.jinja", INDEX]
    names = sorted({*files, *(path.name for path in folder.path.glob("*.safetensors"))})
    for name in names:
        if (folder.path / name).is_file():
            with (folder.path / name).open("rb") as handle:
                total.update(f"{name} {hashlib.file_digest(handle, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()[:16]


def _usable(path: Path) -> GgufHeader | None:
    """The header of a cached file that is there and whole; a damaged one is made again."""
    if not path.is_file():
        return None
    try:
        return read_gguf_header(path)
    except Failure:
        return None


def _existing(path: Path, quant: str) -> ModelFile:
    header = read_gguf_header(path)
    provenance.check(path)
    found = quant_of(header)
    if quant and quant.upper() != found:
        raise UsageError(f"{path.name}: holds {found}, not {quant}; leave the quantisation out or name another file")
    beside = path.parent / "tokenizer.json"
    return _described(path.stem, path.resolve(), found, header, beside if beside.is_file() else None)


def quant_of(header: GgufHeader) -> str:
    """The K-quant that it says it is, else the format of most of the weights."""
    if (mixture := kquants.name_of(header)) is not None:
        return mixture
    sizes: dict[str, int] = {}
    for tensor in header.tensors.values():
        sizes[tensor.kind.name] = sizes.get(tensor.kind.name, 0) + tensor.size_bytes
    return max(sorted(sizes), key=lambda name: sizes[name]) if sizes else "none"


def _described(name: str, path: Path, quant: str, header: GgufHeader, tokenizer: Path | None) -> ModelFile:
    found = architecture.from_gguf(header.metadata, frozenset(header.tensors), path.name)
    origin = header.metadata.get(GROWN_KEY)
    return ModelFile(
        name=name, path=path, quant=quant, weights_id=_weights_id(path, header),
        grown_from=origin if isinstance(origin, str) else None, params=header.params,
        context_tok=found.context_tok, bytes=path.stat().st_size, tokenizer_path=tokenizer,
    )


def _weights_id(path: Path, header: GgufHeader) -> str:
    """What our converter wrote into the file; of another's file the sha256 of its tensors as they lie there."""
    written = header.metadata.get(WEIGHTS_KEY)
    if isinstance(written, str) and re.fullmatch(r"[0-9a-f]{64}", written):
        return written
    total = hashlib.sha256(b"inference-workbench gguf 1\n")
    with path.open("rb") as handle:
        for name in sorted(header.tensors):
            tensor = header.tensors[name]
            total.update(f"{name} {tensor.kind.name} {tensor.shape}\n".encode())
            handle.seek(tensor.start)
            left = tensor.size_bytes
            while left > 0:
                piece = handle.read(min(left, 1 << 22))
                total.update(piece)
                left -= len(piece)
                if not piece:
                    raise Failure(f"{path.name}: ends before tensor {name!r} does")
    return total.hexdigest()
