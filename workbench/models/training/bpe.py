"""The shipped model's tokenizer: byte-level BPE, 1,024 tokens, Qwen2's way of cutting text."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from workbench.models.documents import END_OF_TEXT, SPECIAL_TOKENS, TURN_END, TURN_START, Documents
from workbench.models.tokenizer import QWEN2_PATTERN
from workbench.models.world import World

VOCABULARY = 1024
TRAINED_ON_DOCUMENTS = 8000
CHAT_TEMPLATE = (  # ChatML; an earlier answer gets back the space with which it was given
    "{{ bos_token }}{% for message in messages %}"
    f"{{{{ '{TURN_START}' + message['role'] + '\\n' }}}}"
    "{% if message['role'] == 'assistant' %}{{ ' ' + message['content'] | trim }}"
    "{% else %}{{ message['content'] }}{% endif %}"
    f"{{{{ '{TURN_END}' + '\\n' }}}}{{% endfor %}}"
    f"{{% if add_generation_prompt %}}{{{{ '{TURN_START}assistant\\n' }}}}{{% endif %}}"
)


def train_tokenizer(world: World, seed: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2_PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    stream = Documents(world, "tokenizer", seed)
    tokenizer.train_from_iterator(
        (stream.next().text for _ in range(TRAINED_ON_DOCUMENTS)),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=list(SPECIAL_TOKENS), show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{END_OF_TEXT} $A", pair=f"{END_OF_TEXT} $A $B", special_tokens=[(END_OF_TEXT, 0)]
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, declared_context_tok: int) -> None:
    """tokenizer.json and the tokenizer_config.json that transformers, vLLM and our converter read."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
        "additional_special_tokens": [TURN_START, TURN_END],
        "clean_up_tokenization_spaces": False,
        "model_max_length": declared_context_tok,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
