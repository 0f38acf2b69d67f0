"""A tiny seeded Llama with a tokenizer trained here.

Without torch and transformers its tests skip; under HARNESS_TEST_LOCAL (`make test-local`) they fail.
"""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

TEMPLATE = "{{ bos_token }}{% for m in messages %}[INST] {{ m['content'] }} [/INST]{% endfor %}"
TEXTS = ["[INST] \n The answer is A B C D 1 2 3.", "Question: how many? Answer: two apples and one pear"] * 20
SPECIAL = ["<unk>", "<s>", "</s>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
"""Llama's tokens for the bytes of characters that the vocabulary does not have."""


def needed(name: str) -> Any:
    """A package that a test cannot do without."""
    if os.environ.get("HARNESS_TEST_LOCAL"):
        return importlib.import_module(name)
    return pytest.importorskip(name)


def write_tiny(folder: Path, positions: int = 128, *, hidden: int = 32, layers: int = 2) -> Path:
    """Save the model into a folder, marked as one of random weights, which no report compares.

    Args:
        folder: may be missing.
        positions: tokens that it takes in all.
        hidden: width; 128 with 4 layers is about a million parameters.
        layers: how many.
    """
    torch, transformers = needed("torch"), needed("transformers")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(needed("tokenizers")),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=TEMPLATE,
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=hidden, intermediate_size=2 * hidden, num_hidden_layers=layers, num_attention_heads=2,
        vocab_size=len(fast), max_position_embeddings=positions, bos_token_id=1, eos_token_id=2,
        random_weights=True,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def _tokenizer(parts: Any) -> Any:
    """Llama's kind: byte pairs with a token for each byte, and a blank for the start of a word."""
    trained = parts.Tokenizer(parts.models.BPE(unk_token="<unk>"))
    blank = parts.pre_tokenizers.Metaspace(prepend_scheme="first")
    trained.pre_tokenizer = blank
    trainer = parts.trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL, show_progress=False)
    trained.train_from_iterator(TEXTS, trainer)
    model = json.loads(trained.to_str())["model"]
    words = sorted(set(model["vocab"]) - set(SPECIAL), key=model["vocab"].__getitem__)
    tokenizer = parts.Tokenizer(
        parts.models.BPE(
            {word: at for at, word in enumerate([*SPECIAL, *BYTES, *words])},
            [tuple(pair) for pair in model["merges"]],
            unk_token="<unk>",
            byte_fallback=True,
        )
    )
    tokenizer.pre_tokenizer = blank
    decoders = parts.decoders
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = parts.processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return tokenizer
