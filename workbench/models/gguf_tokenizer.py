"""A byte-level BPE tokenizer.json as GGUF metadata."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import GGUFWriter, TokenType

from workbench.errors import Failure, UsageError
from workbench.files import read_json
from workbench.models.tokenizer import QWEN2_PATTERN

# patterns of the published tokenizers, by the name under which llama.cpp implements each of them
_LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {"qwen2": QWEN2_PATTERN, "llama-bpe": _LLAMA3_PATTERN}
_PRE_BY_PATTERN = {pattern: name for name, pattern in PATTERNS.items()}
END_OF_TURN = ("<|im_end|>", "<|eot_id|>", "<|end|>")


@dataclass(frozen=True, slots=True)
class GgufTokenizer:
    """What llama.cpp needs to cut and join text as the tokenizer.json does."""

    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str]
    add_bos: bool
    bos_id: int | None
    eos_id: int | None
    end_of_turn_id: int | None
    chat_template: str | None

    def write(self, writer: GGUFWriter) -> None:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        writer.add_token_merges(self.merges)
        writer.add_add_bos_token(self.add_bos)
        if self.bos_id is not None:
            writer.add_bos_token_id(self.bos_id)
        if self.eos_id is not None:
            writer.add_eos_token_id(self.eos_id)
            writer.add_pad_token_id(self.eos_id)
        if self.end_of_turn_id is not None:
            writer.add_eot_token_id(self.end_of_turn_id)
        if self.chat_template is not None:
            writer.add_chat_template(self.chat_template)


def read(folder: Path, vocabulary: int) -> GgufTokenizer:
    """From a model folder; `vocabulary` is the embedding's number of rows, unused ids are filled up."""
    data, where = read_json(folder / "tokenizer.json"), f"{folder.name}/tokenizer.json"
    config = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    try:
        return _parsed(data, config, vocabulary, where, _template(folder, config))
    except (KeyError, TypeError, AttributeError) as error:
        raise Failure(f"{where}: damaged or of another kind ({error})") from error


def _parsed(data: dict[str, Any], config: dict[str, Any], vocabulary: int, where: str,
            template: str | None) -> GgufTokenizer:
    if data["model"]["type"] != "BPE":
        raise UsageError(f"{where}: model {data['model']['type']}; only byte-level BPE is converted here")
    ids = dict(data["model"]["vocab"]) | {token["content"]: token["id"] for token in data["added_tokens"]}
    special = {token["id"] for token in data["added_tokens"] if token["special"]}
    if max(ids.values()) >= vocabulary or min(ids.values()) < 0 or len(set(ids.values())) != len(ids):
        raise Failure(f"{where}: its ids do not fit a vocabulary of {vocabulary}; take the tokenizer that "
                      "came with the model")
    tokens = [f"[UNUSED{number}]" for number in range(vocabulary)]
    types = [int(TokenType.UNUSED)] * vocabulary
    for token, number in ids.items():
        tokens[number] = token
        types[number] = int(TokenType.CONTROL if number in special else TokenType.NORMAL)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in data["model"]["merges"]]
    return GgufTokenizer(
        pre=_pre_tokenizer(data["pre_tokenizer"], where), tokens=tokens, types=types, merges=merges,
        add_bos=_adds_bos(data, config), bos_id=_id(ids, config, "bos_token"), eos_id=_id(ids, config, "eos_token"),
        end_of_turn_id=next((ids[token] for token in END_OF_TURN if token in ids), None), chat_template=template,
    )


def _pre_tokenizer(data: dict[str, Any], where: str) -> str:
    steps = data.get("pretokenizers", [data])
    if any(step["type"] == "ByteLevel" and step.get("use_regex", True) for step in steps):
        return "gpt-2"
    patterns = [step["pattern"].get("Regex") for step in steps if step["type"] == "Split"]
    if len(patterns) == 1 and patterns[0] in _PRE_BY_PATTERN:
        return _PRE_BY_PATTERN[patterns[0]]
    raise UsageError(f"{where}: its way of cutting text has no known name in llama.cpp; convert it with llama.cpp")


def _adds_bos(data: dict[str, Any], config: dict[str, Any]) -> bool:
    if isinstance(config.get("add_bos_token"), bool):
        return bool(config["add_bos_token"])
    processor = data.get("post_processor") or {}
    steps = [processor, *processor.get("processors", [])]
    return any("SpecialToken" in step["single"][0] for step in steps if step.get("type") == "TemplateProcessing")


def _id(ids: dict[str, int], config: dict[str, Any], key: str) -> int | None:
    token = config.get(key)
    text = token.get("content") if isinstance(token, dict) else token
    return None if text is None else ids[text]


def _template(folder: Path, config: dict[str, Any]) -> str | None:
    apart = folder / "chat_template.jinja"
    if apart.is_file():
        return apart.read_text(encoding="utf-8")
    template = config.get("chat_template")
    return template if isinstance(template, str) else None
