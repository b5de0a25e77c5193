"""The tokenizer in a GGUF file as tokenizer.json and tokenizer_config.json: byte-level BPE, as it was converted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gguf import TokenType

from workbench.errors import Failure, UsageError
from workbench.models.gguf_tokenizer import PATTERNS

_SPECIAL = frozenset({int(TokenType.CONTROL), int(TokenType.USER_DEFINED)})


def tokenizer_json(metadata: Mapping[str, Any], file: str) -> dict[str, Any]:
    """UsageError for another kind of tokenizer; Failure where its lists do not fit each other."""
    if metadata.get("tokenizer.ggml.model") != "gpt2":
        raise UsageError(f"{file}: tokenizer {metadata.get('tokenizer.ggml.model')!r}; only byte-level BPE (gpt2) is "
                         "written as tokenizer.json here: take it from the original model's folder")
    tokens, merges = metadata.get("tokenizer.ggml.tokens"), metadata.get("tokenizer.ggml.merges")
    types = [int(kind) for kind in metadata.get("tokenizer.ggml.token_type", ())]
    if not isinstance(tokens, list) or not isinstance(merges, list) or len(types) != len(tokens):
        raise Failure(f"{file}: its tokenizer is incomplete; make or fetch the file again")
    unused = int(TokenType.UNUSED)
    ids = {token: number for number, token in enumerate(tokens) if types[number] != unused}
    added = [_added(token, number, types[number] == int(TokenType.CONTROL))
             for token, number in ids.items() if types[number] in _SPECIAL]
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": _pre_tokenizer(str(metadata.get("tokenizer.ggml.pre", "")), file),
        "post_processor": _post_processor(metadata, tokens),
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": ids, "merges": [merge.split(" ", 1) for merge in merges]},
    }


def tokenizer_config(metadata: Mapping[str, Any]) -> dict[str, Any]:
    tokens = metadata.get("tokenizer.ggml.tokens", [])
    found: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False,
                             "add_bos_token": bool(metadata.get("tokenizer.ggml.add_bos_token", False))}
    for name in ("bos", "eos"):
        number = metadata.get(f"tokenizer.ggml.{name}_token_id")
        if isinstance(number, int) and 0 <= number < len(tokens):
            found[f"{name}_token"] = tokens[number]
    template = metadata.get("tokenizer.chat_template")
    return found | ({"chat_template": template} if isinstance(template, str) else {})


def _added(token: str, number: int, special: bool) -> dict[str, Any]:
    return {"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": special}


def _pre_tokenizer(pre: str, file: str) -> dict[str, Any]:
    if pre in ("gpt-2", "gpt2"):
        return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    if pre not in PATTERNS:
        raise UsageError(f"{file}: pre-tokenizer {pre!r}: its pattern is not known here; there are "
                         f"{', '.join(PATTERNS)}, gpt-2")
    split = {"type": "Split", "pattern": {"Regex": PATTERNS[pre]}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {"type": "Sequence", "pretokenizers": [split, level]}


def _post_processor(metadata: Mapping[str, Any], tokens: list[str]) -> dict[str, Any] | None:
    number = metadata.get("tokenizer.ggml.bos_token_id")
    if not metadata.get("tokenizer.ggml.add_bos_token") or not isinstance(number, int) or number >= len(tokens):
        return None
    token = tokens[number]
    first, one, two = ({"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                       {"Sequence": {"id": "B", "type_id": 0}})
    return {"type": "TemplateProcessing", "single": [first, one], "pair": [first, one, two],
            "special_tokens": {token: {"id": token, "ids": [number], "tokens": [token]}}}
